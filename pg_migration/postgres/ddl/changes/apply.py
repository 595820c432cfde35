"""Run DDL object by object, so that one that fails costs itself and what needs it, and nothing else."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import quote_ident

from pg_migration.postgres.catalog import SchemaObject
from pg_migration.postgres.catalog.draft import PG_NAMESPACE
from pg_migration.postgres.catalog.values_path import application_path
from pg_migration.postgres.connection.retry import Retry
from pg_migration.postgres.connection.session_settings import SEARCH_PATH, relied_on, set_configs, written_with
from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration.postgres.ddl.changes.make import make
from pg_migration.postgres.ddl.reconciliation.operator_lookup import MeaningChanged
from pg_migration.postgres.errors import collided
from pg_migration.postgres.roles.reach import lent


@dataclass(frozen=True)
class Outcome:
    """What became of one object.

    ``error`` is the server's message when its statements failed; ``skipped_because`` names the object that it needs and
    that is not there. With neither, it was made; ``note`` is what people have to know of that.
    """

    object: SchemaObject
    statement: str
    error: str | None = None
    skipped_because: str | None = None
    note: str | None = None

    @property
    def made(self) -> bool:
        """Whether the object is there now."""
        return self.error is None and self.skipped_because is None


def apply(
    connection: Connection,
    objects: Sequence[SchemaObject],
    failed: Iterable[Outcome] = (),
    settings: Sequence[tuple[str, str]] = (),
    schemas: Mapping[str, str] | None = None,
) -> list[Outcome]:
    """Make objects, in the order given.

    Each object's statements are one transaction; how they are run, `making.make` tells.

    Args:
        connection: to the target, in autocommit mode.
        objects: in an order in which each comes after what it depends on.
        failed: outcomes of earlier calls; what depends on an object that was not made then is skipped now.
        settings: names and values that the source's database sets for its sessions (`Catalog.settings`). Those that
            definitions may rely on hold here too, and search_path where nothing else will do.
        schemas: the names in the target of those that are migrated, for that search_path.

    Returns:
        One outcome per object. A failing statement is an outcome and not an exception.

    Raises:
        psycopg2.OperationalError: the connection was lost.
    """
    broken = {outcome.object.address: outcome.object.identity for outcome in failed if not outcome.made}
    outcomes = []
    application = application_path(settings, schemas or {})
    ours = {**relied_on(settings), **written_with(settings), "search_path": SEARCH_PATH}
    lending: frozenset[_Lent] | None = None
    with _settings(connection, ours):
        for item in objects:
            if lending is None and _wants(item):  # the privileges on schemas have been granted by now
                lending = lent(connection, {want for other in objects for want in _wants(other)})
            ready = replace(item, statements=_with_loans(connection, item, lending or frozenset()))
            text = ";\n".join(ready.statements)
            needed = next((broken[address] for address in sorted(item.depends_on) if address in broken), None)
            if needed is not None:
                outcome = Outcome(item, text, skipped_because=f"it needs {needed}, which could not be made")
            else:
                outcome = replace(_make(connection, ready, text, application), object=item)
            if not outcome.made:
                broken[item.address] = item.identity
            outcomes.append(outcome)
    return outcomes


_Lent = tuple[str, str, str]


def _wants(item: SchemaObject) -> list[_Lent]:
    """Privileges on its schema (schema, role, privilege) that the server asks of others than the role that connects.

    PostgreSQL docs: ALTER TABLE ("that role must have CREATE privilege on the table's schema"). Whoever grants has to
    find the object.
    """
    if item.address.classid == PG_NAMESPACE or not item.search_path:
        return []
    privilege = {"owner": "CREATE", "privileges": "USAGE"}.get(item.kind)
    return [(item.search_path, role, privilege) for role in sorted(item.becomes)] if privilege else []


def _with_loans(connection: Connection, item: SchemaObject, lending: Collection[_Lent]) -> tuple[str, ...]:
    """An object's statements, with what is granted for as long as they take: the source's owner may lack it by now."""
    loans = [want for want in _wants(item) if want in lending]
    words = [
        (f"{privilege} ON SCHEMA {quote_ident(schema, connection)}", quote_ident(role, connection))
        for schema, role, privilege in loans
    ]
    granted = [f"GRANT {what} TO {role}" for what, role in words]
    return (*granted, *item.statements, *(f"REVOKE {what} FROM {role}" for what, role in words))


def _make(connection: Connection, item: SchemaObject, text: str, application: Sequence[str]) -> Outcome:
    """Make one object, a few times where other sessions are in its way."""
    made, retry = _attempt(connection, item, application), Retry()
    while isinstance(made, Exception) and collided(made) and retry.pause():
        made = _attempt(connection, item, application)
    if isinstance(made, psycopg2.Error):
        return Outcome(item, text, error=_message(made))
    return Outcome(item, text, error=str(made)) if isinstance(made, Exception) else Outcome(item, text, note=made)


def _attempt(connection: Connection, item: SchemaObject, application: Sequence[str]) -> Exception | str | None:
    """What was wrong, or what people have to know of an object that was made."""
    try:
        return make(connection, item, item.statements, application)
    except MeaningChanged as error:
        return error
    except psycopg2.Error as error:
        if connection.closed:
            raise
        return error


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
