"""Compare the two databases: tables, structure, and what else there is."""
