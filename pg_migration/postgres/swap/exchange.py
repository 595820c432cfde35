"""The swap itself: one transaction after which every live schema is another copy, or none is."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Catalog, SchemaObject
from pg_migration.postgres.catalog.identity import by_identity
from pg_migration.postgres.catalog.identity import there as known
from pg_migration.postgres.catalog.schema_renaming import search_path_clause
from pg_migration.postgres.connection.statements import execute, fetch, gathered, transaction
from pg_migration.postgres.errors import MigrationError, StructureConflict, collided, server_message
from pg_migration.postgres.figures import listed
from pg_migration.postgres.ledger.brought_objects import (
    bring_back_previous,
    forget_brought,
    keep_previous,
    note_brought,
    of_next,
)
from pg_migration.postgres.ledger.equivalences import remember
from pg_migration.postgres.sql_files import sql_file
from pg_migration.postgres.swap.names import next_name, previous_name
from pg_migration.postgres.swap.shadows import OF_SCHEMAS, dependents, drop, ours, present
from pg_migration.postgres.swap.views import make_follow, views_on

LOCK_TIMEOUT = "5s"
PAUSE_SECONDS = 1.0
MAX_NAMED = 20
PUBLISHED_PARTS_SINCE = 150000  # columns, rows and schemas


@dataclass(frozen=True)
class Incoming:
    """What takes the place of live schemas.

    Args:
        origin: which database the source is.
        source_schemas: the schemas of the source.
        catalogs: of the source and of what comes in, with the names that it is to have; None where the ledger knows
            it from when it was live before.
        everything: whether all grants of the live objects are taken over, or only those to roles that the source does
            not have (``of_source`` are those that it has).
        owners: whether owners are taken over.
        published: of the source what live schemas have of publications, too, and ``withdrawn`` the statements that take
            out what earlier runs have brought and the source does not publish any more.
    """

    origin: str
    source_schemas: Sequence[str]
    catalogs: tuple[Catalog, Catalog] | None = None
    everything: bool = False
    owners: bool = False
    of_source: Sequence[str] = ()
    published: Sequence[SchemaObject] = ()
    withdrawn: Sequence[str] = ()


@dataclass(frozen=True)
class Swapped:
    """What a swap did, and what of it readers may have noticed.

    ``seconds`` is how long the swap held locks: readers wait for those of views of other schemas at most. ``views`` are
    those that follow, ``made_anew`` those that were dropped for it.
    """

    schemas: Sequence[str]
    previous: Sequence[str]
    seconds: float
    attempts: int = 1
    carried: Sequence[str] = ()
    views: Sequence[str] = ()
    made_anew: Sequence[str] = ()
    publications: Sequence[str] = ()


@dataclass(frozen=True)
class _Exchange:
    """Which schemas take the place of which; ``back``: they have the names that the others are to get."""

    connection: Connection
    live: Sequence[str]
    incoming: Sequence[str]
    what: Incoming
    back: bool


def swap_in(connection: Connection, live: Sequence[str], what: Incoming, seconds: float) -> Swapped:
    """Put the schemas that were loaded in the place of the live ones, which are kept as the previous ones.

    Args:
        connection: to the target, in autocommit mode, under the target's lock.
        live: the schemas as people know them; those that are not there yet have no previous one afterwards.
        seconds: how long to try, where others hold locks that stand in the way.

    Raises:
        MigrationError: it can't be done; nothing has changed.
    """
    incoming = [next_name(name) for name in live]
    made = ours(connection, incoming)
    if lost := [name for name in incoming if name not in made]:
        raise StructureConflict(
            f"not swapped: schema {listed(lost)}, which this run has loaded, is gone or another one"
        )
    return _tried(_Exchange(connection, live, incoming, what, back=False), seconds)


def swap_back(connection: Connection, live: Sequence[str], what: Incoming, seconds: float) -> Swapped:
    """Put what was live before in the place of the live schemas, which are kept as the previous ones.

    Raises:
        MigrationError: it can't be done; nothing has changed.
    """
    incoming = [previous_name(name) for name in live]
    kept = ours(connection, incoming)
    if lost := [name for name in incoming if name not in kept]:
        raise StructureConflict(
            f"there is no earlier copy to go back to: the target has no schema {listed(lost)} that a swap has kept"
        )
    drop(connection, [next_name(name) for name in live])  # what a run that failed has left: the name is needed
    return _tried(_Exchange(connection, live, incoming, what, back=True), seconds)


def _tried(exchange: _Exchange, seconds: float) -> Swapped:
    deadline, attempts = time.monotonic() + seconds, 0
    while True:
        attempts += 1
        try:
            return _exchanged(exchange, attempts)
        except psycopg2.Error as error:
            stands_in_the_way = isinstance(error, psycopg2.errors.LockNotAvailable) or collided(error)
            if exchange.connection.closed:
                raise
            if not stands_in_the_way or time.monotonic() >= deadline:
                raise MigrationError(
                    f"not swapped, and nothing has changed for readers: {server_message(error)}"
                ) from error
        time.sleep(PAUSE_SECONDS)


def _exchanged(exchange: _Exchange, attempt: int) -> Swapped:
    connection, live = exchange.connection, exchange.live
    with transaction(connection):
        execute(connection, f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        execute(connection, "SET LOCAL synchronous_commit = on")
        there = [name for name in live if name in present(connection, live)]
        _refuse_new_dependents(connection, there)
        views, published = views_on(connection, there), _published(connection, there)
        carried = _carry(exchange, there)
        _rewrite_ledger(exchange, there)
        begun = time.monotonic()
        aside = {name: next_name(name) if exchange.back else previous_name(name) for name in there}
        for name in there:
            _rename(connection, name, aside[name])
        for new, name in zip(exchange.incoming, live, strict=True):
            _rename(connection, new, name)
        if exchange.back:
            for name in there:
                _rename(connection, aside[name], previous_name(name))
        _set_own_paths(connection, dict(zip(exchange.incoming, live, strict=True)))
        anew = make_follow(connection, views)
        publications = _republish(connection, published)
        for statement in exchange.what.withdrawn:
            execute(connection, statement)
        execute(connection, "SET LOCAL lock_timeout = 0")
    seconds = time.monotonic() - begun
    return Swapped(
        schemas=live,
        previous=[previous_name(name) for name in there],
        seconds=round(seconds, 4),
        attempts=attempt,
        carried=carried,
        views=[view.name for view in views if view.direct],
        made_anew=anew,
        publications=publications,
    )


def _rename(connection: Connection, old: str, new: str) -> None:
    execute(connection, sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new)))


def _refuse_new_dependents(connection: Connection, live: Sequence[str]) -> None:
    """What came since the run began, where that has refused all of it."""
    if found := dependents(connection, live) if live else []:
        told = listed([f"{d.name}{f' (on {d.needed})' if d.needed else ''}" for d in found], MAX_NAMED)
        raise StructureConflict(f"not swapped, and nothing has changed for readers: in the way of a swap is {told}")


def _carry(exchange: _Exchange, there: Sequence[str]) -> list[str]:
    """Give what comes in the grants and owners that only the target has on what is live."""
    what, connection = exchange.what, exchange.connection
    names = {"live": list(there), "new": [exchange.incoming[exchange.live.index(name)] for name in there]}
    parameters = {**names, "everything": what.everything, "of_source": list(what.of_source)}
    statements = [row[0] for row in fetch(connection, sql_file("swap/grants.sql"), parameters)]
    if what.owners:
        statements += [row[0] for row in fetch(connection, sql_file("swap/owners.sql"), names)]
    if statements:
        execute(connection, ";\n".join(statements))
    inner = dict(zip(names["new"], there, strict=True))
    return [_as_known(statement, inner) for statement in statements]


def _as_known(statement: str, inner: Mapping[str, str]) -> str:
    for new, live in inner.items():
        statement = statement.replace(new, live)
    return statement


def _set_own_paths(connection: Connection, names: Mapping[str, str]) -> None:
    """Let functions that were made in a schema of another name, and set a search_path with it, find the live one."""
    for kind, routine, setting in fetch(connection, sql_file("swap/own_paths.sql"), {"schemas": list(names.values())}):
        before, after = (search_path_clause(setting, renamed) for renamed in ({}, names))
        if before != after:
            execute(connection, f"ALTER {kind} {routine} {after.strip()}")


@dataclass(frozen=True)
class _Published:
    """A table, or (None) all of a schema, in a publication. ``rows`` is a condition."""

    schema: str
    publication: str
    table: str | None = None
    columns: str | None = None
    rows: str | None = None

    def taken_out(self) -> sql.Composable:
        """The statement, once the schema is the previous one."""
        return sql.SQL("ALTER PUBLICATION {} DROP ").format(sql.Identifier(self.publication)) + self._named(
            previous_name(self.schema)
        )

    def put_in(self) -> sql.Composable:
        """The statement, once another schema has the name."""
        added = sql.SQL("ALTER PUBLICATION {} ADD ").format(sql.Identifier(self.publication)) + self._named(self.schema)
        if self.columns:
            added += sql.SQL(f" ({self.columns})")
        return added + sql.SQL(f" WHERE ({self.rows})") if self.rows else added

    def _named(self, schema: str) -> sql.Composable:
        if self.table is None:
            return sql.SQL("TABLES IN SCHEMA {}").format(sql.Identifier(schema))
        return sql.SQL("TABLE ONLY {}").format(sql.Identifier(schema, self.table))


_PUBLISHED_BEFORE_15 = """
SELECT n.nspname, p.pubname, c.relname
  FROM pg_publication_rel r
  JOIN pg_publication p ON p.oid = r.prpubid
  JOIN pg_class c ON c.oid = r.prrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = ANY (%s::text[])
"""
_PUBLISHED_SCHEMAS = """
SELECT n.nspname, p.pubname
  FROM pg_publication_namespace r
  JOIN pg_publication p ON p.oid = r.pnpubid
  JOIN pg_namespace n ON n.oid = r.pnnspid
 WHERE n.nspname = ANY (%s::text[])
"""
_STILL_THERE = "SELECT to_regclass(format('%%I.%%I', %s::text, %s::text)) IS NOT NULL"


def _published(connection: Connection, live: Sequence[str]) -> list[_Published]:
    if connection.server_version < PUBLISHED_PARTS_SINCE:
        return [_Published(*row) for row in fetch(connection, _PUBLISHED_BEFORE_15, (list(live),))]
    tables = fetch(connection, sql_file("swap/publication_tables.sql"), {"schemas": list(live)})
    schemas = fetch(connection, _PUBLISHED_SCHEMAS, (list(live),))
    return [_Published(*row) for row in (*tables, *schemas)]


def _republish(connection: Connection, published: Sequence[_Published]) -> list[str]:
    for item in published:
        execute(connection, item.taken_out())
        if item.table is None or fetch(connection, _STILL_THERE, (item.schema, item.table)) == [(True,)]:
            execute(connection, item.put_in())
    return sorted({item.publication for item in published})


def _rewrite_ledger(exchange: _Exchange, there: Sequence[str]) -> None:
    """Let the rows of the ledger follow the schemas that they are about."""
    connection, live, what = exchange.connection, exchange.live, exchange.what
    back = exchange.back
    with gathered(connection):
        for name in live:
            if not back:
                _forget_rows(connection, previous_name(name))
            _move_rows(connection, name, next_name(name) + " aside")
            _move_rows(connection, previous_name(name) if back else next_name(name), name)
            _move_rows(connection, next_name(name) + " aside", previous_name(name))
            execute(connection, _FORGET_SHADOWS, ([next_name(name), previous_name(name)],))
            if name in there:
                execute(connection, _NOTE_PREVIOUS, {"live": name, "name": previous_name(name)})
    if what.catalogs is None:
        bring_back_previous(connection, what.origin, what.source_schemas)
    else:
        keep_previous(connection, what.origin, what.source_schemas)
        forget_brought(connection, of_next(what.origin))
        source, target = what.catalogs
        theirs = known(target)
        both = [item for key, item in by_identity(source).items() if key in theirs]
        note_brought(connection, what.origin, source, [*both, *what.published])
        remember(connection, source, target, both)


_FORGET_SHADOWS = "DELETE FROM _pg_migration.shadow WHERE schema_name = ANY (%s::text[])"
_NOTE_PREVIOUS = """
INSERT INTO _pg_migration.shadow (schema_name, namespace, live_schema, run_id)
SELECT %(name)s, n.oid, %(live)s, '' FROM pg_namespace n WHERE n.nspname = %(live)s
"""


def _forget_rows(connection: Connection, schema: str) -> None:
    for table in OF_SCHEMAS:
        delete = sql.SQL("DELETE FROM {} WHERE schema_name = %s").format(sql.Identifier("_pg_migration", table))
        execute(connection, delete, (schema,))


def _move_rows(connection: Connection, old: str, new: str) -> None:
    for table in OF_SCHEMAS:
        update = sql.SQL("UPDATE {} SET schema_name = %s WHERE schema_name = %s")
        execute(connection, update.format(sql.Identifier("_pg_migration", table)), (new, old))
    execute(
        connection,
        "UPDATE _pg_migration.suspended SET referenced_schema = %s WHERE referenced_schema = %s",
        (new, old),
    )
