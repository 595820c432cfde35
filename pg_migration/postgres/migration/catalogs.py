"""What the target holds: discovered as seldom as is safe, since that is the longest part of a small migration."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

import psycopg2
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Catalog, Phase, SchemaObject, TableName
from pg_migration.postgres.catalog.reading.catalog_state import CatalogState, catalog_state
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.ddl import Outcome, half_altered, note_all_brought, remember
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.sql_files import sql_file

EVERY_PHASE = frozenset(Phase)
# Made long before the target is read again.
_EARLY = frozenset({Phase.KEYS, Phase.FOREIGN_KEYS})

_Key = tuple[int, TableName | None, str]
"""The system catalog of such an object, its table in the target, and its name."""


class TargetCatalogs:
    """The target's structure, in three states of a migration: before its DDL, once rows can come, and at the end.

    A catalog that was read stands for the target until this run alters that; the run says so (`changed`, `made`). To
    decide what to make, it does also after objects of other phases were made (`of`). What is judged is never told from
    a catalog that may be out of date (`now`): others may alter the target at any time.

    A run in another process has an object of its own, which reads for itself.
    """

    def __init__(
        self,
        connection: Connection,
        source: Catalog,
        origin: str,
        schemas: Collection[str],
        read: Callable[[], Catalog],
        outcomes: Sequence[Outcome],
    ) -> None:
        """
        Args:
            connection: to the target.
            origin: which database the source is; the same text in every run.
            schemas: the target's, that are migrated.
            read: discovers the target.
            outcomes: of the run's DDL, which will grow.
        """
        self._connection, self._source, self._origin, self._schemas = connection, source, origin, list(schemas)
        self._discover, self._outcomes = read, outcomes
        self._held: Catalog | None = None
        self._state: CatalogState | None = None  # of the target, just before the held catalog was read
        self._stale: frozenset[Phase] = frozenset()
        self._made: list[SchemaObject] = []  # of the source, and not noted yet
        self._unsettled: list[SchemaObject] = []  # of these, what was made early
        self._definitions: dict[_Key, str | None] = {}  # of what was made early, as the server wrote it then

    def now(self) -> Catalog:
        """The target as it is now, less what is to be left as it is.

        How the server writes what this run has made since the last reading is noted on that occasion.
        """
        if self._held is not None and self._is_current():
            return self._held
        state = catalog_state(self._connection)
        held = self._read()
        self._state = state
        return held

    def of(self, phase: Phase) -> Catalog:
        """The target as this run has left the objects of one phase."""
        return self._read() if self._held is None or phase in self._stale else self._held

    def changed(self, phases: Collection[Phase] = EVERY_PHASE) -> None:
        """Say that objects of some phases were altered, dropped or set aside in the target."""
        self._stale |= frozenset(phases)

    @contextmanager
    def unaffected(self) -> Iterator[None]:
        """While the block makes in the target what no catalog tells of: our bookkeeping."""
        if self._held is not None and not self._is_current():
            self._held = None
        yield
        if self._held is not None:
            self._state = catalog_state(self._connection)

    def made(self, objects: Iterable[SchemaObject]) -> None:
        """Say what this run has made, so that it is noted how the server writes it."""
        new = list(objects)
        self._made += new
        self._unsettled += [item for item in new if item.phase in _EARLY]
        self.changed({item.phase for item in new})

    def settle(self) -> None:
        """Look how the server writes the keys that were made: what is altered after that by others is not noted."""
        if self._unsettled:
            definitions = self._read_definitions()
            self._definitions |= {key: definitions.get(key) for key in map(self._key, self._unsettled)}
            self._unsettled = []

    def note_all_brought(self) -> None:
        """Note what came from the source, when everything was made."""
        held = self.now()
        brought = note_all_brought(self._connection, self._origin, self._source, held)
        self._held = replace(held, brought=brought)

    def note_the_rest(self) -> None:
        """Note how the server writes what was made last; what can't be noted is made anew by the next run."""
        if self._made:
            with suppress(MigrationError, psycopg2.Error):
                self.now()

    def _is_current(self) -> bool:
        return not self._stale and self._state is not None and self._state == catalog_state(self._connection)

    def _read(self) -> Catalog:
        self._held, self._state = None, None
        held = self._discover()
        if self._made:
            held = replace(held, remembered={**held.remembered, **self._note_how_it_is_written(held)})
        self._held, self._stale = held, frozenset()
        return held

    def _note_how_it_is_written(self, target: Catalog) -> dict[str, tuple[str, str]]:
        """Note it of what was made, but not of what was altered in part: it failed, or the other half is to come."""
        waiting = half_altered(self._source, target, self._made)
        failed = {outcome.object.address._replace(aspect="") for outcome in self._outcomes if not outcome.made}
        left = waiting | failed
        whole = [item for item in self._made if item.address._replace(aspect="") not in left]
        noted = remember(self._connection, self._source, target, self._as_they_were_made(whole))
        self._made = [item for item in self._made if item.address._replace(aspect="") in waiting]
        return noted

    def _as_they_were_made(self, items: Sequence[SchemaObject]) -> list[SchemaObject]:
        """Less the keys that others have altered since: what is noted passes for equal."""
        if not any(item.phase in _EARLY for item in items):
            return list(items)
        definitions = self._read_definitions()
        keys = {item.address: self._key(item) for item in items if item.phase in _EARLY}
        altered = {a for a, key in keys.items() if definitions.get(key) != self._definitions.get(key)}
        return [item for item in items if item.address not in altered]

    def _key(self, item: SchemaObject) -> _Key:
        table = self._source.target_name(item.table) if item.table is not None else None
        return item.address.classid, table, item.name

    def _read_definitions(self) -> dict[_Key, str]:
        rows = fetch(self._connection, sql_file("migration/key_definitions.sql"), (self._schemas,))
        return {(classid, (schema, table), name): text for classid, schema, table, name, text in rows}
