"""Figures as people read them."""

from rich.cells import cell_len, set_cell_size

from pg_migration.postgres.figures import count, counted, duration, foreseen, roughly, size
from pg_migration.postgres.planning.forecast import Forecast
from pg_migration.postgres.verification.row_differences import RowDifference

__all__ = [
    "count",
    "counted",
    "cropped",
    "difference",
    "duration",
    "forecast",
    "foreseen",
    "on_one_line",
    "readable",
    "roughly",
    "size",
    "step",
]


def forecast(found: Forecast) -> str:
    """What a run would copy, and about how long that takes, in a sentence."""
    time = f"{'about ' if found.seconds >= 0.1 else ''}{foreseen(found.seconds)}"
    objects = (
        f", and at most {counted(found.large_objects, 'large object')}, {size(found.large_object_bytes)}"
        if found.large_objects
        else ""
    )
    return (
        f"In all about {count(found.rows)} rows, {size(found.bytes)}, in {found.chunks:,} chunks{objects}; with "
        f"{found.workers} "
        f"workers {time} for the copy, without indexes and checks, at "
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
    name = name.rpartition("__")[2]  # less the name of a pair
    return _STEPS.get(name, name.replace("_", " "))


def difference(row: RowDifference) -> str:
    """What is on each side of a row that is not the same, by its key."""
    where = {"missing": "only in the source", "extra": "only in the target"}.get(row.kind)
    return f"{row.row}  {where or 'differs' + (' in ' + ', '.join(row.columns) if row.columns else '')}"


def cropped(name: str, width: int, ascii_only: bool = False) -> str:
    """A name in at most so many columns, less its middle where it is longer: beginnings and ends tell names apart."""
    if cell_len(name) <= width:
        return name
    gap = "..." if ascii_only else "…"
    room = max(0, width - len(gap))
    head, tail = set_cell_size(name, room - room // 2).rstrip(), name
    while cell_len(tail) > room // 2:
        tail = tail[1:]
    return head + gap + tail


def on_one_line(text: str) -> str:
    """As `readable`, and line breaks and tabs as well."""
    return readable(text).replace("\n", "\\n").replace("\t", "\\t")


def readable(text: str) -> str:
    """Text in which control characters, which an identifier may hold, are written as escapes."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
