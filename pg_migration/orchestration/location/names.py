"""From relations to asset keys, groups and partitions definitions: names that Dagster accepts and people recognise."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping

import dagster as dg

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.connection.literals import readable

# The UI lists groups by name, so each begins with its place in a run: what is made before the rows, the tables of each
# schema, what is made after them.
BEFORE_ROWS = "1_before_rows"
AFTER_ROWS = "3_after_rows"

_ILLEGAL = re.compile(r"[^A-Za-z0-9_]")
LONGEST_READABLE = 50


def legal(name: str) -> str:
    """``name`` where Dagster accepts it (letters, digits, underscores), else made so, and unique by a hash."""
    plain = _ILLEGAL.sub("_", name)
    if plain == name and name:
        return name
    return f"{plain[:LONGEST_READABLE]}_{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:6]}"


def schema_group(schema: str) -> str:
    """The group of the tables of a target schema."""
    return f"2_{legal(schema)}"


def asset_keys(tables: Iterable[TableName]) -> Mapping[TableName, dg.AssetKey]:
    """An asset key ``<schema>/<table>`` for every target table.

    Dagster names a step's outputs by joining the parts of a key with two underscores; where that makes two keys one,
    the tables concerned get a hash as well.
    """
    keys = {table: dg.AssetKey([legal(part) for part in table]) for table in tables}
    times = Counter(key.to_python_identifier() for key in keys.values())
    for table, key in keys.items():
        if times[key.to_python_identifier()] > 1:
            digest = hashlib.sha256(repr(table).encode()).hexdigest()[:6]
            keys[table] = dg.AssetKey([key.path[0], f"{key.path[1]}_{digest}"])
    return keys


def foreign_keys_key(table_key: dg.AssetKey) -> dg.AssetKey:
    """The asset of a table's foreign keys: ``<schema>/<table>/foreign_keys``."""
    return dg.AssetKey([*table_key.path, "foreign_keys"])


def partitions_definition(table: TableName) -> dg.DynamicPartitionsDefinition:
    """The table's key ranges: ``pk_ranges/<schema>.<table>``."""
    return dg.DynamicPartitionsDefinition(name=readable(f"pk_ranges/{'.'.join(table)}"))


SUMMARY = "summary"
