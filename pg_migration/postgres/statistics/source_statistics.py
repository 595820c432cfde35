"""What the planner knows of the source's tables, read for many of them at once."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.sql_files import sql_file
from pg_migration.postgres.statistics.extended import ExtendedStatistics, read_extended

# What is known of a column are a few kilobytes, and seldom more than a hundred.
COLUMNS_AT_ONCE = 500

# Before, 0 rows in 0 pages stood for a number that nobody knows, which is -1 since.
UNKNOWN_TUPLES_SINCE = 140000
FROZEN_PAGES_SINCE = 180000
RANGES_SINCE = 170000

Known = Sequence[tuple[str, str]]
"""Names of arguments, and their values as text."""


@dataclass(frozen=True)
class Relation:
    """What is known of a table or an index itself."""

    name: str
    is_index: bool
    known: Known


@dataclass(frozen=True)
class ColumnStatistics:
    """What is known of a column, alone or with those of the table's children (``inherited``).

    An index may call its columns otherwise in the target, so there the ``number`` counts.
    """

    relation: str
    is_index: bool
    name: str
    number: int
    inherited: bool
    known: Known


@dataclass
class TableStatistics:
    """What is known of a table, its indexes and statistics objects. ``lacking`` is what can't be given, and why."""

    version: int
    relations: list[Relation] = field(default_factory=list)
    columns: list[ColumnStatistics] = field(default_factory=list)
    extended: list[ExtendedStatistics] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)

    @property
    def has_columns(self) -> bool:
        """Whether anything is known of the table's own columns."""
        return any(not column.is_index for column in self.columns)


class SourceStatistics:
    """Reads statistics when they are first asked for, those of the tables that come next with them.

    Args:
        tables: OIDs in the order in which they will be asked for, and how many columns each has.
        schemas: as for `read_statistics`.
    """

    def __init__(self, tables: Sequence[tuple[int, int]], schemas: Mapping[str, str] | None) -> None:
        self._coming = dict(tables)
        self._schemas = schemas
        self._read: dict[int, TableStatistics] = {}
        self._lock = threading.Lock()

    def take(self, table: int, connection: Connection) -> TableStatistics:
        """What is known of a table, once: it is not kept.

        Args:
            connection: to the source, in the snapshot.

        Raises:
            psycopg2.Error: the source can't be asked.
        """
        with self._lock:
            if (known := self._read.pop(table, None)) is not None:
                return known
            wanted, columns = {table}, self._coming.pop(table, 0)
            for oid, many in self._coming.items():
                columns += many
                if columns > COLUMNS_AT_ONCE:
                    break
                wanted.add(oid)
            found = read_statistics(connection, wanted, self._schemas)
            for oid in wanted:
                self._coming.pop(oid, None)
            self._read |= found
            return self._read.pop(table)


def read_statistics(
    connection: Connection, tables: "set[int]", schemas: Mapping[str, str] | None
) -> dict[int, TableStatistics]:
    """What is known of some tables, by OID.

    Args:
        schemas: the target's names of the schemas that statistics objects are migrated of; None where it does not take
            what is known of those.
    """
    found = {oid: TableStatistics(connection.server_version) for oid in tables}
    rows = fetch(connection, _query(connection.server_version), {"tables": sorted(tables)})
    with_objects: set[int] = set()
    for oid, name, is_index, column, number, inherited, known, is_hidden, is_extended in rows:
        table, pairs = found[oid], [(argument, value) for argument, value in known]
        if column is not None:
            table.columns.append(ColumnStatistics(name, is_index, column, number, inherited, pairs))
            continue
        table.relations.append(Relation(name, is_index, pairs))
        if is_hidden:
            table.lacking.append(f"the source's role may not read what is known of the expressions of index {name}")
        if is_extended:
            with_objects.add(oid)
    if schemas is None:
        for oid in with_objects:
            found[oid].lacking.append("it has statistics objects")
    elif with_objects:
        for oid, extended in read_extended(connection, with_objects, schemas):
            if extended.is_hidden:
                what = f"the source's role may not read what is known of statistics object {extended.name}"
                found[oid].lacking.append(what)
            else:
                found[oid].extended.append(extended)
    return found


@cache
def _query(version: int) -> sql.Composable:
    unknown = "CASE WHEN c.relpages = 0 AND c.reltuples = 0 THEN -1 ELSE c.reltuples END"
    tuples = "c.reltuples" if version >= UNKNOWN_TUPLES_SINCE else unknown
    frozen = ", ARRAY['relallfrozen', concat(c.relallfrozen)]" if version >= FROZEN_PAGES_SINCE else ""
    names = ("range_length_histogram", "range_empty_frac", "range_bounds_histogram")
    ranges = "".join(f", ('{name}', concat(s.{name}))" for name in names) if version >= RANGES_SINCE else ""
    text = sql_file("statistics/statistics.sql")
    return sql.SQL(text.replace("{frozen}", frozen).replace("{ranges}", ranges).replace("{tuples}", tuples))
