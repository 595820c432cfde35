"""The PostgreSQL library: discovery, DDL, planning, copying, bookkeeping, comparing. It imports no Dagster."""
