"""Figures as people read them."""

from pg_migration.postgres.figures import count, duration, roughly, size
from pg_migration.postgres.planning.forecast import Forecast

__all__ = ["count", "duration", "forecast", "readable", "roughly", "size", "step"]


def forecast(found: Forecast) -> str:
    """What a run would copy, and about how long that takes, in a sentence."""
    return (
        f"In all about {count(found.rows)} rows, {size(found.bytes)}, in {found.chunks:,} chunks; with {found.workers} "
        f"workers about {duration(found.seconds)} for the copy, without indexes and checks, at "
        f"{size(found.bytes_per_second)}/s for each worker "
        f"({'as in earlier runs' if found.measured else 'assumed: no earlier run has left a figure in the target'})."
    )


# The steps of the jobs, as Dagster names them.
_STEPS = {
    "source_schema": "structure of the source",
    "source_schema_known_tables": "list of the tables",
    "target_ddl": "tables in the target",
    "tables": "rows, keys and indexes",
    "table_checks": "comparison of the rows",
    "foreign_keys": "foreign keys",
    "post_data": "views, triggers and the rest",
    "database_checks": "comparison of everything else",
    "repair_tables": "comparison and repair",
    "preflight_checks": "requirements",
    "copy_plan": "plan",
}


def step(name: str) -> str:
    """What a step of a job does, for people who need not know Dagster's names."""
    return _STEPS.get(name, name.replace("_", " "))


def readable(text: str) -> str:
    """Text in which control characters, which an identifier may hold, are written as escapes."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
