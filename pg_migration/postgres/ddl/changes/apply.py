"""Run DDL object by object, so that one that fails costs itself and what needs it, and nothing else."""

from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import quote_ident

from pg_migration.postgres.catalog import Address, SchemaObject
from pg_migration.postgres.catalog.draft import PG_NAMESPACE
from pg_migration.postgres.catalog.values_path import application_path
from pg_migration.postgres.connection.retry import Retry
from pg_migration.postgres.connection.session_settings import relied_on, select, set_configs, written_with
from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration.postgres.ddl.changes.make import make
from pg_migration.postgres.ddl.changes.together import SHORT_WAITS, TOGETHER
from pg_migration.postgres.ddl.reconciliation.operator_lookup import MeaningChanged, needs_a_path
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


TOGETHER_CHARACTERS = 1_000_000


def apply(
    connection: Connection,
    objects: Sequence[SchemaObject],
    failed: Iterable[Outcome] = (),
    settings: Sequence[tuple[str, str]] = (),
    schemas: Mapping[str, str] | None = None,
    alone: Container[Address] = frozenset(),
) -> list[Outcome]:
    """Make objects, in the order given.

    Some of them together are one message and one transaction. Where that fails nothing of it is left, and each half is
    tried by itself, down to the object that is the cause; how one is made, `making.make` tells.

    Args:
        connection: to the target, in autocommit mode, with pinned settings.
        objects: in an order in which each comes after what it depends on.
        failed: outcomes of earlier calls; what depends on an object that was not made then is skipped now.
        settings: names and values that the source's database sets for its sessions (`Catalog.settings`). Those that
            definitions may rely on hold here too, and search_path where nothing else will do.
        schemas: the names in the target of those that are migrated, for that search_path.
        alone: which objects may take long, and so are made by themselves.

    Returns:
        One outcome per object. A failing statement is an outcome and not an exception.

    Raises:
        psycopg2.OperationalError: the connection was lost.
    """
    if not objects:
        return []
    broken = {outcome.object.address: outcome.object.identity for outcome in failed if not outcome.made}
    maker = _Maker(connection, broken, application_path(settings, schemas or {}))
    outcomes: list[Outcome] = []
    with _settings(connection, {**relied_on(settings), **written_with(settings)}):
        lending: frozenset[_Lent] | None = None
        for some in _portions(objects, alone):
            if lending is None and any(map(_wants, some)):  # the privileges on schemas have been granted by now
                lending = lent(connection, {want for item in objects for want in _wants(item)})
            ready = [replace(i, statements=_with_loans(connection, i, lending or frozenset())) for i in some]
            made = maker.make(ready)
            outcomes += [replace(outcome, object=item) for outcome, item in zip(made, some, strict=True)]
    return outcomes


def _portions(objects: Sequence[SchemaObject], alone: Container[Address]) -> Iterator[Sequence[SchemaObject]]:
    """Pieces of a sequence, each of what is made together. What asks for privileges comes after what may grant them."""
    some: list[SchemaObject] = []
    characters, asking = 0, False
    for item in objects:
        single = needs_a_path(item) or item.address in alone
        size = sum(map(len, item.statements))
        begins_to_ask = not asking and bool(_wants(item))
        full = len(some) == TOGETHER or characters + size > TOGETHER_CHARACTERS
        if some and (single or begins_to_ask or full):
            yield some
            some, characters = [], 0
        asking = asking or begins_to_ask
        if single:
            yield [item]
        else:
            some.append(item)
            characters += size
    if some:
        yield some


@dataclass(frozen=True)
class _Maker:
    """Makes objects, and knows which could not be made.

    ``broken`` are these by address, with how they are called; ``application`` is as `application_path`.
    """

    connection: Connection
    broken: dict[Address, str]
    application: Sequence[str]

    def make(self, items: Sequence[SchemaObject]) -> list[Outcome]:
        """What became of each object: all of them at once where that goes well, else of each half by itself."""
        if len(items) == 1:
            return [self._outcome(items[0])]
        lacking = [item for item in items if any(address in self.broken for address in item.depends_on)]
        if not lacking and self._are_made([item for item in items if item.statements]):
            return [Outcome(item, _shown(item)) for item in items]
        middle = len(items) // 2
        return [*self.make(items[:middle]), *self.make(items[middle:])]

    def _are_made(self, items: Sequence[SchemaObject]) -> bool:
        # Several statements in one message are one transaction.
        try:
            execute(self.connection, ";\n".join([SHORT_WAITS, *map(_text, items)]))
        except psycopg2.Error:
            if self.connection.closed:
                raise
            return False
        return True

    def _outcome(self, item: SchemaObject) -> Outcome:
        needed = next((self.broken[address] for address in sorted(item.depends_on) if address in self.broken), None)
        if needed is not None:
            outcome = Outcome(item, _shown(item), skipped_because=f"it needs {needed}, which could not be made")
        else:
            outcome = _make(self.connection, item, _shown(item), self.application)
        if not outcome.made:
            self.broken[item.address] = item.identity
        return outcome


def _text(item: SchemaObject) -> str:
    return ";\n".join(item.statements)


def _shown(item: SchemaObject) -> str:
    return ";\n".join(item.shown)


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
    if not settings:
        yield
        return
    former = sql.SQL("pg_catalog.current_setting({}, true)")
    ((*values,),) = fetch(connection, select(former.format(sql.Literal(name)) for name in settings))
    _set_all(connection, settings)
    try:
        yield
    finally:
        if not connection.closed:
            _set_all(connection, {name: value or "" for name, value in zip(settings, values, strict=True)})


def _set_all(connection: Connection, settings: Mapping[str, str]) -> None:
    try:
        execute(connection, select(set_configs(settings)))
    except psycopg2.Error:
        if connection.closed:
            raise
        if len(settings) > 1:
            for name, value in settings.items():
                _set_all(connection, {name: value})
