"""After a cutover: whether the old server is silent, and the leave to copy into the target again."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.figures import counted
from pg_migration.postgres.ledger.lock import TargetLock
from pg_migration.postgres.ledger.runs import session_name
from pg_migration.postgres.migration.definition import Migration
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.replication.fence import clients
from pg_migration.postgres.replication.read_only import undo_read_only, write_anyway
from pg_migration.postgres.replication.record import last_replication, record
from pg_migration.postgres.replication.state import TAKEN_OVER, Phase, PublishedTable, Replication
from pg_migration.postgres.replication.structure import tables_of

# How long all tables of the old server are read in search of rows that are too new.
LOOK_SECONDS = 20.0
_XID_BITS = 32

_TABLES = """
SELECT c.oid::pg_catalog.int8 FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) ANY (%s::pg_catalog.oid[])
 ORDER BY c.relpages
"""
# A transaction is at most as old as the fence's where its number is that or a later one.
_NEWER = (
    "SELECT pg_catalog.count(*) FROM ONLY {} "
    "WHERE pg_catalog.age(xmin) OPERATOR(pg_catalog.<=) pg_catalog.age({}::pg_catalog.xid)"
)


def allow_runs(run: MigrationRun, database: str) -> None:
    """Let runs write to a target again that had taken over, or had given back.

    Args:
        database: the name of the target's database, as somebody has typed it.

    Raises:
        MigrationError: it is another one, or there is nothing to release.
    """
    run.migration.check()
    with Connections(session_name(run.run_id)) as connections:
        target = run.call(lambda: run.sides.open_beside(connections, run.sides.target))
        write_anyway(target)
        ((name,),) = run.call(lambda: fetch(target, "SELECT pg_catalog.current_database()::text"))
        if database != name:
            raise ConfigurationError(
                f"the database of the target is called {name}, not {database}: nothing was changed"
            )
        lock = run.call(lambda: TargetLock(connections, run.sides.target, run.run_id))
        run.call(lock.acquire)
        last = run.call(lambda: last_replication(target))
        if last is None or last.phase not in TAKEN_OVER | {Phase.BACK}:
            raise ConfigurationError("the target has not taken over from a source: there is nothing to release")
        if last.phase is Phase.RETURNING or (last.phase is Phase.MOVED and last.way_back is not None):
            raise ConfigurationError(
                "what is written to the target is replicated to the old source: end that first (pg_migration "
                "end-way-back)"
            )
        if last.phase is Phase.BACK:
            run.call(lambda: undo_read_only(target, last.target_read_only_before))
        run.call(lambda: record(target, replace(last, phase=Phase.ABANDONED, reason="released")))
        told = "runs may write to the target again, and overwrite what applications have written there"
        if last.phase is not Phase.BACK:
            told += (
                "; the database of the old source is read only by default still: ALTER DATABASE ... RESET "
                "default_transaction_read_only"
            )
        run.outcomes.notes.append(told)


def still_written(migration: Migration) -> Sequence[str]:
    """Who still writes to the old source after the target has taken over; nothing where nobody does, or it has not.

    Tables are read from the smallest on, as many as can be in `LOOK_SECONDS`.

    Raises:
        MigrationError: a server can't be asked.
    """
    with Connections("pg_migration look") as connections:
        replication = last_replication(connections.open(migration.target))
        if replication is None or replication.phase not in TAKEN_OVER or replication.fence_transaction is None:
            return []
        source = connections.open(migration.source)
        return list(_writers(source, connections, replication))


def _writers(source: Connection, connections: Connections, replication: Replication) -> Iterator[str]:
    yield from (f"{who} writes to it now" for who in clients(source, connections.processes()) if who.writes)
    if replication.way_back is not None:  # which writes there as well
        return
    names = {*(table.name for table in replication.tables), *replication.reloaded}
    found = [t.table for t in tables_of(source, {schema for schema, _ in names}) if t.table.name in names]
    deadline, known = time.monotonic() + LOOK_SECONDS, {table.oid: table for table in found}
    assert replication.fence_transaction is not None, "there is a fence"
    fence = str(replication.fence_transaction % 2**_XID_BITS)
    for (oid,) in fetch(source, _TABLES, (list(known),)):
        left = deadline - time.monotonic()
        if left <= 0:
            return
        if rows := _newer_rows(source, known[oid], fence, left):
            yield f"{'.'.join(known[oid].name)} has {counted(rows, 'row')} that were written after the cutover"


def _newer_rows(source: Connection, table: PublishedTable, fence: str, seconds: float) -> int:
    statement = sql.SQL(f"SET statement_timeout = {{}}; {_NEWER}")
    try:
        ((found,),) = fetch(
            source,
            statement.format(
                sql.Literal(f"{max(1, round(seconds * 1000))}ms"), sql.Identifier(*table.name), sql.Literal(fence)
            ),
        )
    except (psycopg2.errors.QueryCanceled, psycopg2.errors.UndefinedTable):
        return 0
    finally:
        if not source.closed:
            execute(source, "SET statement_timeout = 0")
    return int(found)
