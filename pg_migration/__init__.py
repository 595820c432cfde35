"""pg_migration: move one PostgreSQL database into another, and prove that the copy is right."""
