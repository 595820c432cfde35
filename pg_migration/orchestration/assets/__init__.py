"""The assets of a migration: structure, tables, foreign keys, what follows the rows, the summary."""
