"""Run DDL object by object, so that one that fails costs itself and what needs it, and nothing else."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg2
from psycopg2 import errorcodes, sql
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, quote_ident
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import SchemaObject
from pg_migration.postgres.session import SEARCH_PATH, execute, fetch, relied_on, set_configs

# What PostgreSQL says when a function's body names something without a schema, and is not found.
NAME_NOT_FOUND = frozenset(
    {
        errorcodes.UNDEFINED_FUNCTION,
        errorcodes.UNDEFINED_TABLE,
        errorcodes.UNDEFINED_OBJECT,
        errorcodes.INVALID_SCHEMA_NAME,
    }
)


@dataclass(frozen=True)
class Outcome:
    """What became of one object.

    ``error`` is the server's message when its statements failed; ``skipped_because`` names the object that it needs and
    that is not there. With neither, it was made.
    """

    object: SchemaObject
    statement: str
    error: str | None = None
    skipped_because: str | None = None

    @property
    def made(self) -> bool:
        """Whether the object is there now."""
        return self.error is None and self.skipped_because is None


def apply(
    connection: Connection,
    objects: Sequence[SchemaObject],
    failed: Iterable[Outcome] = (),
    settings: Sequence[tuple[str, str]] = (),
) -> list[Outcome]:
    """Make objects, in the order given.

    Each object's statements are one transaction (a savepoint, where the caller has a transaction open). They run with
    a search_path without users' schemas, since every name in them is qualified; where that fails because a function
    body is not written so carefully, they run again with the object's schema on the path, as it was when the source's
    own application made the object.

    Args:
        connection: to the target, in autocommit mode or inside a transaction.
        objects: in an order in which each comes after what it depends on.
        failed: outcomes of earlier calls; what depends on an object that was not made then is skipped now.
        settings: names and values that the source's database sets for its sessions (`Catalog.settings`). Those that
            definitions may rely on hold here too, and search_path for the second try.

    Returns:
        One outcome per object. A failing statement is an outcome and not an exception.

    Raises:
        psycopg2.OperationalError: the connection was lost.
    """
    broken = {outcome.object.address: outcome.object.identity for outcome in failed if not outcome.made}
    outcomes = []
    database_path = dict(settings).get("search_path", "")
    ours = {**relied_on(settings), "search_path": SEARCH_PATH}
    with _settings(connection, ours):
        for item in objects:
            text = ";\n".join(item.statements)
            needed = next((broken[address] for address in sorted(item.depends_on) if address in broken), None)
            if needed is not None:
                outcome = Outcome(item, text, skipped_because=f"it needs {needed}, which could not be made")
            else:
                outcome = Outcome(item, text, error=_make(connection, item, text, database_path))
            if not outcome.made:
                broken[item.address] = item.identity
            outcomes.append(outcome)
    return outcomes


def _make(connection: Connection, item: SchemaObject, text: str, database_path: str) -> str | None:
    try:
        _run(connection, text)
    except psycopg2.Error as error:
        if connection.closed:
            raise
        if error.pgcode not in NAME_NOT_FOUND or not item.search_path:
            return _message(error)
        first = _message(error)
    else:
        return None
    try:
        own = quote_ident(item.search_path, connection)
        path = ", ".join(filter(None, ["pg_catalog", own, database_path, "pg_temp"]))
        with _settings(connection, {"search_path": path}):
            _run(connection, text)
    except psycopg2.Error:
        if connection.closed:
            raise
        return first
    return None


def _run(connection: Connection, text: sql.Composable | str) -> None:
    """Several statements in one message are one transaction; inside another one, a savepoint holds them together."""
    if connection.info.transaction_status == TRANSACTION_STATUS_IDLE:
        execute(connection, text)
        return
    execute(connection, "SAVEPOINT pg_migration_ddl")
    try:
        execute(connection, text)
    except psycopg2.Error:
        if not connection.closed:
            execute(connection, "ROLLBACK TO SAVEPOINT pg_migration_ddl")
        raise
    execute(connection, "RELEASE SAVEPOINT pg_migration_ddl")


def _message(error: psycopg2.Error) -> str:
    diagnosis = error.diag
    parts = [
        diagnosis.message_primary or str(error).strip(),
        diagnosis.message_detail and f"Detail: {diagnosis.message_detail}",
        diagnosis.message_hint and f"Hint: {diagnosis.message_hint}",
        diagnosis.context and f"Context: {diagnosis.context}",
    ]
    return " ".join(part for part in parts if part)


@contextmanager
def _settings(connection: Connection, settings: Mapping[str, str]) -> Iterator[None]:
    """Settings for the block; the former ones come back afterwards. One that the server refuses is left as it was."""
    former = {name: _setting(connection, name) for name in settings}
    for name, value in settings.items():
        _set(connection, name, value)
    try:
        yield
    finally:
        if not connection.closed:
            for name, value in former.items():
                _set(connection, name, value)


def _setting(connection: Connection, name: str) -> str:
    ((value,),) = fetch(connection, "SELECT coalesce(pg_catalog.current_setting(%s, true), '')", (name,))
    return str(value)


def _set(connection: Connection, name: str, value: str) -> None:
    try:
        (call,) = set_configs({name: value})
        _run(connection, sql.SQL("SELECT {}").format(call))
    except psycopg2.Error:
        if connection.closed:
            raise
