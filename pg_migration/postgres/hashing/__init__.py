"""Digests of rows: what is hashed of a value, a row and a table, and what the ledger keeps of it."""
