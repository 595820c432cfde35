"""The tasks of a load."""

import re
from dataclasses import dataclass, replace

from pg_migration.postgres.catalog import Address, SchemaObject, TableName
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.planning.plan import TablePlan

# Below this the way of a key by an index of its own costs more in statements than it saves in waiting.
MIN_BYTES_OF_PARALLEL_KEYS = 8 * 2**20

_BUILDS_AN_INDEX = re.compile(r"CREATE\s+(UNIQUE\s+)?INDEX\s", re.IGNORECASE)


@dataclass(frozen=True)
class Copy:
    table: TableName
    range_key: str
    chunk: int


@dataclass(frozen=True)
class Hash:
    """The digest of a chunk's rows on one side, after its copy."""

    table: TableName
    range_key: str
    chunk: int
    side: Side

    @property
    def copy(self) -> Copy:
        """The copy of the chunk."""
        return Copy(self.table, self.range_key, self.chunk)


@dataclass(frozen=True)
class Complete:
    """The barrier behind a table's last chunk."""

    table: TableName


@dataclass(frozen=True)
class Build:
    """The CREATE INDEX of an object, which runs beside others of the same table."""

    address: Address


@dataclass(frozen=True)
class Alter:
    """The rest of an object, which locks its table and so runs when no index is being built on it."""

    address: Address


@dataclass(frozen=True)
class Finish:
    table: TableName


Task = Copy | Hash | Complete | Build | Alter | Finish


def beside_others(made: SchemaObject, plan: TablePlan) -> SchemaObject:
    """A key of a table that is not small, made in the way that lets other indexes be built meanwhile."""
    in_parallel = made.parallel and plan.bytes >= MIN_BYTES_OF_PARALLEL_KEYS
    return replace(made, statements=made.parallel) if in_parallel else made


def build_statements(made: SchemaObject) -> tuple[str, ...]:
    count = 0
    while count < len(made.statements) and _BUILDS_AN_INDEX.match(made.statements[count]):
        count += 1
    return made.statements[:count]
