"""The asset checks: of single tables, and of the database."""
