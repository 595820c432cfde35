"""Rows that users keep in tables of extensions, and where sequences of extensions stand.

An extension names the tables and sequences whose contents are not its own (pg_extension_config_dump), with a condition
that tells users' rows from those that CREATE EXTENSION makes. The rows are copied in the run's snapshot, in one
transaction of the target for each extension, and only as far as the target has others. PostgreSQL docs: "Extension
Configuration Tables".
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import ConfigurationTable, TableName, configurations
from pg_migration.postgres.catalog.ordering.graph import cycles, topological_order
from pg_migration.postgres.connection.statements import execute, fetch, transaction
from pg_migration.postgres.errors import CopyFailed, CopyMismatch, server_message
from pg_migration.postgres.figures import counted
from pg_migration.postgres.ledger.schema import has
from pg_migration.postgres.transfer.sequences import read_positions, set_positions
from pg_migration.postgres.transfer.streams.copy_stream import stream


@dataclass(frozen=True)
class ExtensionRows:
    """What became of one configuration table.

    ``rows`` are those of the source, all of them in the target now; ``replaced`` of them took the place of a row that
    the target's extension ships under the same key. ``others`` are rows of the target's own that stayed.
    """

    extension: str
    table: TableName
    rows: int
    replaced: int
    others: int

    def __str__(self) -> str:
        told = f"extension {self.extension}: {self.rows:,} rows of {'.'.join(self.table)} are in the target"
        if self.replaced:
            told += f", {self.replaced:,} of them in place of rows that the target's version of the extension ships"
        if self.others:
            told += f"; {self.others:,} further rows there were not loaded by a migration and stay"
        return told


@dataclass(frozen=True)
class ExtensionFailed:
    """An extension whose rows were not copied, none of them."""

    extension: str
    error: str

    def __str__(self) -> str:
        return f"the rows that users keep in tables of extension {self.extension} were not copied: {self.error}"


class _Differs(Exception):
    """The target's version of an extension can't take the rows, or has not taken them as they are."""


def copy_extension_rows(
    source: Connection, target: Connection, tables: Sequence[ConfigurationTable], overwrite: bool
) -> Iterator[ExtensionRows | ExtensionFailed]:
    """Copy users' rows in tables of extensions; when they are there already, only what is different.

    Args:
        source: sees the snapshot.
        tables: `Catalog.configurations`.
        target: in autocommit mode; the extensions are there, and the ledger.
        overwrite: whether rows of the target may go that no migration has loaded.
    """
    if not tables:
        return
    there = configurations(target)
    for extension in dict.fromkeys(table.extension for table in tables):
        ours = [table for table in tables if table.extension == extension]
        try:
            yield from _Extension(source, target, _pairs(ours, there), overwrite).copy()
        except (_Differs, CopyFailed, CopyMismatch) as error:
            yield ExtensionFailed(extension, str(error))
        except psycopg2.Error as error:
            if source.closed or target.closed:
                raise
            yield ExtensionFailed(extension, server_message(error))


def take_back_extension_rows(
    target: Connection, tables: Sequence[ConfigurationTable]
) -> Iterator[str | ExtensionFailed]:
    """Delete what earlier migrations have loaded into tables of extensions, whose rows are not copied any more.

    Args:
        tables: of the source's extensions.

    Returns:
        What people should know: rows stay where some were there before, as nothing tells whose they are.
    """
    if not tables:
        return
    noted = "SELECT schema_name, table_name FROM _pg_migration.extension_rows"
    loaded = set(fetch(target, noted)) if has(target, "extension_rows") else set()
    wanted = {(table.extension, table.name) for table in tables}
    ours = [table for table in configurations(target) if table.kind == "r" and (table.extension, table.name) in wanted]
    for table, _ in reversed(_referenced_first([(table, table) for table in ours])):
        yield from _taken_back(target, table, table.key in loaded)


def _taken_back(target: Connection, table: ConfigurationTable, is_ours: bool) -> Iterator[str | ExtensionFailed]:
    name, told = sql.Identifier(*table.key), ".".join(table.key)
    chosen = sql.SQL("FROM ONLY {} {}").format(name, sql.SQL(table.condition))
    if not is_ours:
        ((rows,),) = fetch(target, sql.SQL("SELECT count(*) FROM (SELECT {}) AS chosen").format(chosen))
        if rows:
            yield f"{counted(rows, 'row')} of {told} stay, which the transform leaves out: others have put rows there"
        return
    try:
        with transaction(target):
            delete = sql.SQL("DELETE FROM ONLY {} WHERE ctid = ANY (ARRAY(SELECT ctid {}))").format(name, chosen)
            rows = execute(target, delete)
            execute(target, _FORGET, table.key)
    except psycopg2.Error as error:
        if target.closed:
            raise
        yield ExtensionFailed(table.extension, f"those that are there can't be deleted: {server_message(error)}")
        return
    if rows:
        yield f"deleted, since the transform leaves them out: {counted(rows, 'row')} of {told}"


_FORGET = "DELETE FROM _pg_migration.extension_rows WHERE (schema_name, table_name) = (%s, %s)"


def _pairs(
    ours: Iterable[ConfigurationTable], there: Iterable[ConfigurationTable]
) -> list[tuple[ConfigurationTable, ConfigurationTable]]:
    """Each with its like in the target, where the extension may be in another schema.

    Raises:
        _Differs: the target's extension has no such table, or not its columns.
    """
    found = []
    for table in ours:
        alike = [t for t in there if (t.extension, t.name, t.kind) == (table.extension, table.name, table.kind)]
        other = next((t for t in alike if t.schema == table.schema), alike[0] if alike else None)
        if other is None:
            raise _Differs(f"the target's version of the extension has no configuration table {table.name}")
        if lacking := [column for column in table.columns if column not in other.columns]:
            raise _Differs(f"the target's version of the extension has no column {', '.join(lacking)} in {table.name}")
        found.append((table, other))
    return found


@dataclass(frozen=True, eq=False)
class _Pair:
    """A table on both sides; ``rows`` is the temporary table with the source's."""

    source: ConfigurationTable
    target: ConfigurationTable
    rows: sql.Composable

    @property
    def columns(self) -> sql.Composable:
        return sql.SQL(", ").join(map(sql.Identifier, self.source.columns))

    @property
    def name(self) -> sql.Composable:
        return sql.Identifier(*self.target.key)

    @property
    def chosen(self) -> sql.Composable:
        """FROM and the condition, in the target."""
        return sql.SQL("FROM ONLY {} ").format(self.name) + sql.SQL(self.target.condition)


class _Extension:
    """Copies the rows of one extension."""

    def __init__(
        self,
        source: Connection,
        target: Connection,
        tables: Sequence[tuple[ConfigurationTable, ConfigurationTable]],
        overwrite: bool,
    ) -> None:
        self._source = source
        self._target = target
        self._overwrite = overwrite
        self._sequences = {ours.key: theirs.key for ours, theirs in tables if ours.kind == "S"}
        ordered = _referenced_first([(ours, theirs) for ours, theirs in tables if ours.kind == "r"])
        self._pairs = [
            _Pair(ours, theirs, sql.Identifier("pg_temp", f"_pg_migration_rows_{number}"))
            for number, (ours, theirs) in enumerate(ordered)
        ]

    def copy(self) -> list[ExtensionRows]:
        with transaction(self._target):
            for pair in self._pairs:
                self._fetch(pair)
            changed = self._changed()
            with_triggers = [pair for pair in changed if pair.target.triggers]
            self._switch_triggers(with_triggers, off=True)
            replaced = {pair: self._delete(pair, ours) for pair, ours in reversed(changed.items())}
            for pair, ours in changed.items():
                self._insert(pair, ours)
            self._switch_triggers(with_triggers, off=False)
            done = [self._conclude(pair, replaced.get(pair, 0), changed.get(pair, True)) for pair in self._pairs]
        # Not part of a snapshot: read after the rows, so never behind them.
        positions = read_positions(self._source, list(self._sequences))
        set_positions(self._target, {self._sequences[name]: position for name, position in positions.items()})
        return done

    def _changed(self) -> dict[_Pair, bool]:
        """The tables whose rows are written, and whether those that are there may go.

        Rows that are replaced take those with them that refer to them.
        """
        changed: dict[_Pair, bool] = {}
        for pair in self._pairs:
            emptied = {other.target.oid for other, ours in changed.items() if ours}
            if not emptied.isdisjoint(pair.target.referenced) or not self._is_equal(pair):
                changed[pair] = self._is_ours(pair)
        return changed

    def _fetch(self, pair: _Pair) -> None:
        execute(
            self._target,
            sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM ONLY {} WITH NO DATA").format(
                pair.rows, pair.columns, pair.name
            ),
        )
        origin = sql.SQL("FROM ONLY {} ").format(sql.Identifier(*pair.source.key)) + sql.SQL(pair.source.condition)
        stream(
            self._source,
            sql.SQL("COPY (SELECT {} {}) TO STDOUT").format(pair.columns, origin),
            self._target,
            sql.SQL("COPY {} ({}) FROM STDIN").format(pair.rows, pair.columns),
            lambda _: None,
        )

    def _is_equal(self, pair: _Pair) -> bool:
        origins = (sql.SQL("FROM {}").format(pair.rows), pair.chosen)
        ours, theirs = (fetch(self._target, _DIGEST.format(row=_text(pair.source.columns), rows=o)) for o in origins)
        return ours == theirs

    def _is_ours(self, pair: _Pair) -> bool:
        """Whether the rows that are there may go: a migration loaded them, or there are none."""
        ((noted,),) = fetch(
            self._target,
            "SELECT EXISTS (SELECT FROM _pg_migration.extension_rows WHERE (schema_name, table_name) = (%s, %s))",
            pair.target.key,
        )
        return bool(noted) or self._overwrite or self._count(pair) == 0

    def _count(self, pair: _Pair) -> int:
        ((rows,),) = fetch(
            self._target, sql.SQL("SELECT count(*) FROM (SELECT {} {}) AS chosen").format(pair.columns, pair.chosen)
        )
        return int(rows)

    def _delete(self, pair: _Pair, ours: bool) -> int:
        """Make room; how many rows that the target's extension ships go for the sake of the source's."""
        chosen = sql.SQL("ARRAY(SELECT ctid {})").format(pair.chosen)
        if ours:
            execute(self._target, sql.SQL("DELETE FROM ONLY {} WHERE ctid = ANY ({})").format(pair.name, chosen))
        if not set(pair.target.key_columns) or not set(pair.target.key_columns) <= set(pair.source.columns):
            return 0
        return execute(
            self._target,
            sql.SQL(
                "DELETE FROM ONLY {name} WHERE {key} IN (SELECT {key} FROM {rows}) AND ctid <> ALL ({chosen})"
            ).format(name=pair.name, key=_text(pair.target.key_columns), rows=pair.rows, chosen=chosen),
        )

    def _insert(self, pair: _Pair, ours: bool) -> None:
        row = _text(pair.source.columns)
        lacking = sql.SQL("true") if ours else sql.SQL("{} NOT IN (SELECT {} {})").format(row, row, pair.chosen)
        execute(
            self._target,
            sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} WHERE {}").format(
                pair.name, pair.columns, pair.columns, pair.rows, lacking
            ),
        )

    def _switch_triggers(self, pairs: Iterable[_Pair], off: bool) -> None:
        """Rows arrive as they are: what users' triggers do has been done in the source."""
        for pair in pairs:
            for name, mode in pair.target.triggers:
                words = sql.SQL("DISABLE" if off else _ENABLED[mode])
                execute(
                    self._target,
                    sql.SQL("ALTER TABLE {} {} TRIGGER {}").format(pair.name, words, sql.Identifier(name)),
                )

    def _conclude(self, pair: _Pair, replaced: int, ours: bool) -> ExtensionRows:
        """Prove that the source's rows are there, and note that they are ours."""
        row = _text(pair.source.columns)
        ((rows, lacking),) = fetch(
            self._target,
            sql.SQL(
                "SELECT count(*), count(*) FILTER (WHERE {row} NOT IN (SELECT {row} FROM ONLY {name})) FROM {rows}"
            ).format(row=row, name=pair.name, rows=pair.rows),
        )
        others = self._count(pair) - rows
        if lacking or others < 0 or (ours and others):
            raise _Differs(f"the target has not taken {rows:,} rows of {'.'.join(pair.target.key)} as they are")
        if ours:
            execute(
                self._target,
                "INSERT INTO _pg_migration.extension_rows VALUES (%s, %s) ON CONFLICT DO NOTHING",
                pair.target.key,
            )
        return ExtensionRows(pair.source.extension, pair.target.key, rows, replaced, others)


_DIGEST = sql.SQL(
    "SELECT count(*), sum(hashtextextended(t, 0)), sum(hashtextextended(t, 1)) FROM (SELECT {row} AS t {rows}) AS texts"
)
_ENABLED: Mapping[str, str] = {"O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA"}


def _text(columns: Iterable[str]) -> sql.Composable:
    return sql.SQL("ROW({})::text").format(sql.SQL(", ").join(map(sql.Identifier, columns)))


def _referenced_first(
    tables: Sequence[tuple[ConfigurationTable, ConfigurationTable]],
) -> list[tuple[ConfigurationTable, ConfigurationTable]]:
    """In the order of foreign keys; a circle of them is as it comes."""
    by_oid = {theirs.oid: (ours, theirs) for ours, theirs in tables}
    edges = {oid: set(theirs.referenced) & by_oid.keys() - {oid} for oid, (_, theirs) in by_oid.items()}
    for group in cycles(edges):
        for oid in group:
            edges[oid] -= set(group)
    return [by_oid[oid] for oid in topological_order(edges, lambda oid: by_oid[oid][1].key)]
