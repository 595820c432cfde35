"""SQL that is long enough to be read by itself is kept in .sql files beside the modules."""

from importlib.resources import files


def sql_file(name: str) -> str:
    """The text of a file of this package, by its path below it."""
    return files("pg_migration.postgres").joinpath(name).read_text(encoding="utf-8")
