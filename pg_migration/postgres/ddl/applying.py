"""Run DDL object by object, so that one that fails costs itself and what needs it, and nothing else."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import SchemaObject
from pg_migration.postgres.ddl.making import make
from pg_migration.postgres.ddl.meaning import MeaningChanged
from pg_migration.postgres.errors import collided
from pg_migration.postgres.session import RETRY_SECONDS, SEARCH_PATH, execute, fetch, relied_on, set_configs
from pg_migration.postgres.values_path import application_path


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

    Each object's statements are one transaction; how they are run, `making.make` tells.

    Args:
        connection: to the target, in autocommit mode.
        objects: in an order in which each comes after what it depends on.
        failed: outcomes of earlier calls; what depends on an object that was not made then is skipped now.
        settings: names and values that the source's database sets for its sessions (`Catalog.settings`). Those that
            definitions may rely on hold here too, and search_path where nothing else will do.

    Returns:
        One outcome per object. A failing statement is an outcome and not an exception.

    Raises:
        psycopg2.OperationalError: the connection was lost.
    """
    broken = {outcome.object.address: outcome.object.identity for outcome in failed if not outcome.made}
    outcomes = []
    application = application_path(settings, {})
    ours = {**relied_on(settings), "search_path": SEARCH_PATH}
    with _settings(connection, ours):
        for item in objects:
            text = ";\n".join(item.statements)
            needed = next((broken[address] for address in sorted(item.depends_on) if address in broken), None)
            if needed is not None:
                outcome = Outcome(item, text, skipped_because=f"it needs {needed}, which could not be made")
            else:
                outcome = Outcome(item, text, error=_make(connection, item, application))
            if not outcome.made:
                broken[item.address] = item.identity
            outcomes.append(outcome)
    return outcomes


def _make(connection: Connection, item: SchemaObject, application: Sequence[str]) -> str | None:
    """Make one object, a few times where other sessions are in its way; what was wrong with the last attempt."""
    alone = connection.info.transaction_status == TRANSACTION_STATUS_IDLE
    error = _attempt(connection, item, application)
    for pause in RETRY_SECONDS if alone else ():
        if not collided(error):
            break
        time.sleep(pause)
        error = _attempt(connection, item, application)
    if error is None:
        return None
    return _message(error) if isinstance(error, psycopg2.Error) else str(error)


def _attempt(connection: Connection, item: SchemaObject, application: Sequence[str]) -> Exception | None:
    try:
        make(connection, item, item.statements, application)
    except MeaningChanged as error:
        return error
    except psycopg2.Error as error:
        if connection.closed:
            raise
        return error
    return None


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
        execute(connection, sql.SQL("SELECT {}").format(*set_configs({name: value})))
    except psycopg2.Error:
        if connection.closed:
            raise
