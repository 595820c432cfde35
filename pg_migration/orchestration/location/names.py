"""From relations to asset keys, groups and partitions definitions: names that Dagster accepts and people recognise."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping

import dagster as dg

from pg_migration.orchestration.pair import Pair
from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.connection.literals import readable

# The groups of what is made before the rows, and after them; the tables of a schema have a group of their own.
BEFORE_ROWS = "before_rows"
AFTER_ROWS = "after_rows"

_ILLEGAL = re.compile(r"[^A-Za-z0-9_]")
LONGEST_READABLE = 50


def legal(name: str) -> str:
    """``name`` where Dagster accepts it (letters, digits, underscores), else made so, and unique by a hash."""
    plain = _ILLEGAL.sub("_", name)
    if plain == name and name:
        return name
    return f"{plain[:LONGEST_READABLE]}_{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:6]}"


def own_key(pair: Pair, *path: str) -> dg.AssetKey:
    """The key of an asset of a pair: what all of its keys begin with, then this."""
    return dg.AssetKey([pair.name, *path] if pair.name else [*path])


def schema_group(pair: Pair, schema: str) -> str:
    """The group of a target schema, which has its name."""
    name = legal(schema)
    return pair.named(f"schema_{name}" if name in (BEFORE_ROWS, AFTER_ROWS) else name)


def asset_keys(pair: Pair, tables: Iterable[TableName]) -> Mapping[TableName, dg.AssetKey]:
    """An asset key ``<schema>/<table>`` for every target table.

    Dagster names a step's outputs by joining the parts of a key with two underscores; where that makes two keys one,
    the tables concerned get a hash as well.
    """
    keys = {table: own_key(pair, *map(legal, table)) for table in tables}
    times = Counter(key.to_python_identifier() for key in keys.values())
    for table, key in keys.items():
        if times[key.to_python_identifier()] > 1:
            digest = hashlib.sha256(repr(table).encode()).hexdigest()[:6]
            keys[table] = dg.AssetKey([*key.path[:-1], f"{key.path[-1]}_{digest}"])
    return keys


def foreign_keys_key(pair: Pair, schema: str, tables: Iterable[dg.AssetKey]) -> dg.AssetKey:
    """The asset of the foreign keys of a target schema: ``<schema>/foreign_keys``, with a hash where that is a table.

    Args:
        tables: the assets of all tables.
    """
    key = own_key(pair, legal(schema), "foreign_keys")
    if key.to_python_identifier() not in {table.to_python_identifier() for table in tables}:
        return key
    return own_key(pair, legal(schema), f"foreign_keys_{hashlib.sha256(schema.encode()).hexdigest()[:6]}")


def partitions_definition(pair: Pair, table: TableName) -> dg.DynamicPartitionsDefinition:
    """The table's key ranges: ``pk_ranges/<schema>.<table>``."""
    begin = f"pk_ranges/{pair.name}/" if pair.name else "pk_ranges/"
    return dg.DynamicPartitionsDefinition(name=readable(begin + ".".join(table)))


# Assets; all tables are one step.
TABLES = "tables"
SOURCE_SCHEMA = "source_schema"
TARGET_DDL = "target_ddl"
LARGE_OBJECTS = "large_objects"
POST_DATA = "post_data"
LIVE = "live"
REPLICATION = "replication"
SUMMARY = "summary"
VALIDATION = "validation"
OWN_ASSETS = (SOURCE_SCHEMA, TARGET_DDL, LARGE_OBJECTS, POST_DATA, LIVE, SUMMARY, VALIDATION)

# Jobs.
MIGRATE = "migrate"
VALIDATE = "validate"
REPAIR = "repair"
PREFLIGHT = "preflight"
PLAN = "plan"
SWAP_BACK = "swap_back"
ADOPT = "adopt_new_tables"
CUTOVER = "cutover"
ABANDON = "abandon_replication"
GO_BACK = "go_back"
END_WAY_BACK = "end_way_back"
RELEASE = "release"
REPLICATION_WATCH = "replication_watch"
LIVE_MOVE = (ADOPT, CUTOVER, ABANDON, GO_BACK, END_WAY_BACK, RELEASE)
JOBS = (MIGRATE, VALIDATE, REPAIR, PREFLIGHT, PLAN, SWAP_BACK, *LIVE_MOVE)
