"""Which tables a replication covers, by what their rows are identified for it, and which it can't cover."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Catalog, Table, TableName
from pg_migration.postgres.figures import listed
from pg_migration.postgres.replication.identities import FULL, INDEX, NOTHING, PRIMARY, TableIdentity, identities
from pg_migration.postgres.replication.source_objects import ROOTS_SINCE
from pg_migration.postgres.replication.state import ChangedIdentity, PublishedTable
from pg_migration.postgres.replication.structure import FoundTable, tables_of

REFUSE, BY_INDEX, BY_ROW, RELOAD = "refuse", "index", "full", "reload"


@dataclass(frozen=True)
class Refused:
    """A table that can't be replicated as it is, and why not. ``identity`` is None where that is not the reason."""

    name: TableName
    reason: str
    identity: TableIdentity | None = None


@dataclass(frozen=True)
class Coverage:
    """What is replicated of some tables.

    ``published`` are the names in the publication: of a partitioned table that is covered as a whole its own, which
    stands for partitions to come. ``reloaded`` are copied again at the cutover, ``unlogged`` are those of them that
    have no WAL. ``by_row`` find a row by all of its columns, without any index on the source.
    """

    tables: tuple[PublishedTable, ...]
    published: tuple[TableName, ...]
    reloaded: tuple[TableName, ...]
    unlogged: tuple[TableName, ...]
    identities: tuple[ChangedIdentity, ...]
    refused: tuple[Refused, ...]
    by_row: tuple[TableIdentity, ...]

    def differs_from(self, other: "Coverage") -> list[str]:
        """The tables that are covered otherwise; by name."""
        mine = {(table.oid, table.name, table.root, table.columns) for table in self.tables}
        theirs = {(table.oid, table.name, table.root, table.columns) for table in other.tables}
        names = {name for _, name, *_ in mine ^ theirs} | set(self.reloaded) ^ set(other.reloaded)
        return sorted(".".join(name) for name in names | set(self.published) ^ set(other.published))


def coverage(source: Connection, catalog: Catalog, no_identity: str) -> Coverage:
    """What a replication covers of the tables of a catalog.

    Args:
        no_identity: what becomes of tables whose rows can't be identified: one of the option's words.
    """
    leaves = [table for table in catalog.tables if table.kind == "r"]
    found = {table.table.oid: table for table in tables_of(source, {table.schema for table in leaves})}
    known = {one.oid: one for one in identities(source, [table.oid for table in leaves])}
    choice = _Choice(no_identity, source.server_version)
    for table in leaves:
        if table.oid in found and table.oid in known:
            choice.take(table, known[table.oid], unlogged=found[table.oid].unlogged)
        else:
            choice.refused.append(Refused(table.key, "it was dropped or renamed at this moment"))
    covered = [found[table.oid].table for table in choice.covered]
    return Coverage(
        tuple(covered),
        tuple(_names([found[table.oid] for table in choice.covered], catalog, source.server_version)),
        tuple(choice.reloaded),
        tuple(choice.unlogged),
        tuple(choice.changed),
        tuple(choice.refused),
        tuple(choice.by_row),
    )


class _Choice:
    def __init__(self, no_identity: str, source_version: int) -> None:
        self._no_identity, self._version = no_identity, source_version
        self.covered: list[Table] = []
        self.reloaded: list[TableName] = []
        self.unlogged: list[TableName] = []
        self.changed: list[ChangedIdentity] = []
        self.refused: list[Refused] = []
        self.by_row: list[TableIdentity] = []

    def take(self, table: Table, identity: TableIdentity, unlogged: bool) -> None:
        """Decide on one table."""
        if unlogged:
            self.unlogged.append(table.key)
            self.reloaded.append(table.key)
            return
        reason = self._not_replicable(table, identity)
        if reason is not None and self._no_identity == RELOAD:
            self.reloaded.append(table.key)
        elif reason is not None:
            self.refused.append(Refused(table.key, reason, None if table.through_root else identity))
        else:
            self.covered.append(table)

    def _not_replicable(self, table: Table, identity: TableIdentity) -> str | None:
        if table.through_root:
            return "its rows belong to other partitions on another server, as a hash partition key above it tells"
        full_fails = identity.full_fails(self._version)
        if identity.serves and identity.identity != FULL:
            return None
        if identity.serves and full_fails is None:
            self.by_row.append(identity)
            return None
        if self._no_identity == BY_INDEX and identity.candidate is not None:
            self.changed.append(identity.by_candidate())
            return None
        if identity.serves:
            return f"its replica identity is FULL, and {full_fails}"
        if self._no_identity == BY_INDEX:
            return f"it has no unique index over columns that are NOT NULL and not generated{_unfit(identity.unfit)}"
        if self._no_identity == BY_ROW and full_fails is None:
            self.changed.append(identity.becoming(FULL))
            self.by_row.append(identity)
            return None
        if self._no_identity == BY_ROW:
            return full_fails
        return _unidentified(identity)


def _unidentified(identity: TableIdentity) -> str:
    """Why its rows can't be identified as it is."""
    if identity.identity == NOTHING:
        return "its replica identity is NOTHING"
    if identity.identity == INDEX:
        return f"the index of its replica identity is gone, or does not identify rows{_unfit(identity.unfit)}"
    if identity.unfit and identity.unfit[0].startswith(PRIMARY):
        return f"no row is identified by its {identity.unfit[0]}{_unfit(identity.unfit[1:])}"
    return f"it has neither a primary key nor another replica identity{_unfit(identity.unfit)}"


def _unfit(indexes: Sequence[str]) -> str:
    return f" ({listed(indexes)})" if indexes else ""


def _names(covered: Collection[FoundTable], catalog: Catalog, source_version: int) -> Iterable[TableName]:
    """What the publication names: partitioned tables that have a key and are covered as a whole, else each table."""
    below: dict[TableName, set[int]] = defaultdict(set)
    whole = {table.key for table in catalog.tables if table.kind == "p" and not table.left_out}
    for table in catalog.tables:
        if table.kind == "r" and table.root is not None:
            below[table.root].add(table.oid)
        if table.kind == "p" and (table.left_out or table.foreign_below) and table.root is not None:
            whole.discard(table.root)
    oids = {found.table.oid for found in covered}
    roots = {root for root, leaves in below.items() if root in whole and leaves <= oids}
    if source_version < ROOTS_SINCE:
        roots = set()
    return sorted({found.published if found.table.root in roots else found.table.name for found in covered})
