"""SQL that is long enough to be read by itself is kept in .sql files beside the modules."""

from importlib.resources import files


def sql_file(name: str) -> str:
    """The text of a file of this package, by its path below it."""
    return files("pg_migration.postgres").joinpath(name).read_text(encoding="utf-8")


def sql_folder(name: str) -> list[str]:
    """The texts of all .sql files in a folder of this package, in the order of their names."""
    folder = files("pg_migration.postgres").joinpath(name)
    found = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [file.read_text(encoding="utf-8") for file in found]
