"""The Dagster layer: assets, checks, jobs and resources over the PostgreSQL library. No SQL here."""
