"""Figures as people read them."""

from pg_migration.postgres.figures import count, duration, size
from pg_migration.postgres.planning.forecast import Forecast

__all__ = ["count", "duration", "forecast", "readable", "size"]


def forecast(found: Forecast) -> str:
    """What a run would copy, and about how long that takes, in a sentence."""
    return (
        f"In all about {count(found.rows)} rows, {size(found.bytes)}, in {found.chunks:,} chunks; with {found.workers} "
        f"workers about {duration(found.seconds)} for the copy, without indexes and checks, at "
        f"{size(found.bytes_per_second)}/s for each worker "
        f"({'as in earlier runs' if found.measured else 'assumed: no earlier run has left a figure in the target'})."
    )


def readable(text: str) -> str:
    """Text in which control characters, which an identifier may hold, are written as escapes."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
