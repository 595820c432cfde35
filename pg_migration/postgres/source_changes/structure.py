"""A database's structure in few words, to tell later what has become different."""

import hashlib
from collections.abc import Iterator, Mapping

from pg_migration.postgres.catalog import Catalog


def fingerprint(catalog: Catalog) -> dict[str, str]:
    """Everything in a catalog by name: a column's type as text, whatever else as a hash of its DDL."""
    digests: dict[str, list[str]] = {}
    for item in catalog.objects:
        digests.setdefault(item.identity, []).extend(item.statements)
    found = {
        name: hashlib.sha256("\n".join(statements).encode(errors="surrogateescape")).hexdigest()[:12]
        for name, statements in digests.items()
    }
    for table in catalog.tables:
        for column in table.columns:
            name = f"column {table.schema}.{table.name}.{column.name}"
            found[name] = column.type + (" not null" if column.not_null else "")
    return found


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The differences between two fingerprints, one line each, for people."""
    added = [name for name in after if name not in before]
    gone = [name for name in before if name not in after]
    other = [name for name in after if name in before and before[name] != after[name]]
    # What a table's columns tell need not be told of the table, nor the other way round.
    whole = {f"column {name.removeprefix('table ')}." for name in (*added, *gone) if name.startswith("table ")}
    lines = [
        *(f"new: {_with_type(name, after[name])}" for name in added if not _is_within(name, whole)),
        *(f"gone: {name}" for name in gone if not _is_within(name, whole)),
    ]
    columns = [name for name in (*added, *gone, *other) if name.startswith("column ")]
    tables = {f"table {name.removeprefix('column ').rpartition('.')[0]}" for name in columns}
    lines += _changed({name: (before[name], after[name]) for name in other if name not in tables})
    return lines


def _changed(values: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    for name, (old, new) in values.items():
        yield f"changed: {name} was {old}, is {new}" if name.startswith("column ") else f"changed: {name}"


def _with_type(name: str, value: str) -> str:
    return f"{name} {value}" if name.startswith("column ") else name


def _is_within(name: str, whole: set[str]) -> bool:
    return any(name.startswith(prefix) for prefix in whole)
