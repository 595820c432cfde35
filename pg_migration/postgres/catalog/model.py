"""What a discovered database consists of: the words that every other module speaks."""

from collections.abc import Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import NamedTuple

from pg_migration.postgres.catalog.secrets import without_secrets

MATERIALIZED_ROWS = "materialized view rows"
"""The kind of what fills a materialized view."""


class Address(NamedTuple):
    """Where an object lives in the system catalogs.

    The first three are pg_depend's classid, objid and objsubid. ``aspect`` tells apart what PostgreSQL keeps in the
    same catalog row but DDL says in a statement of its own: ``owned by``, ``attach``, ``comment``...; it is empty for
    the object itself.
    """

    classid: int
    objid: int
    subid: int = 0
    aspect: str = ""


class Phase(IntEnum):
    """When an object is made, relative to the rows."""

    PRE_DATA = 1
    KEYS = 2
    FOREIGN_KEYS = 3
    POST_DATA = 4


class Lookup(NamedTuple):
    """An operator or function outside pg_catalog that an object leans on, as the target calls it.

    ``construct`` is what looked it up by a bare name, in whatever search_path the session had: ``NULLIF``, ``USING``...
    It is ``operator`` where the name is written out, and ``function`` (without the types of arguments) for what an
    object calls that has such a construct.
    """

    construct: str
    name: str

    @property
    def by_path(self) -> bool:
        """Whether the search_path decides what is found."""
        return self.construct not in ("operator", "function")


TableName = tuple[str, str]
"""Schema and table. The schema is named as in the source where nothing else is said."""


VIRTUAL = "v"


@dataclass(frozen=True)
class Column:
    """A column as pg_attribute has it.

    ``type`` is for people; ``base_type`` is the name in pg_catalog of the type behind domains, ``anyarray`` for arrays,
    ``anyenum`` for enumerations themselves, ``pg_lsn inside`` or ``char inside`` for what holds values that versions
    write in different ways, and None for what else is users' own. ``ddl_type``, ``collation`` and ``default`` are for
    DDL: fully qualified, every identifier quoted, in the target's schema names.
    ``not_null_constraint`` is what a NOT NULL with a name says in DDL (from 18 on), None where a parent brings it.
    ``not_null_comes_later``: rows were never checked against it, or a statement of its own checks them after the load.
    ``storage`` is the word for SET STORAGE, also where it is the type's own; ``options`` are what SET (...) sets.
    """

    name: str
    number: int
    type: str
    ddl_type: str
    type_oid: int
    base_type: str | None
    collation: str | None
    not_null: bool
    default: str | None
    identity: str
    generated: str
    is_local: bool = True
    not_null_constraint: str | None = None
    not_null_comes_later: bool = False
    storage: str = ""
    statistics: int = -1
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class RowTransform:
    """What is read of a table of the source in place of all its rows as they are: SQL over one row of it.

    ``condition`` chooses the rows; empty chooses all. ``masks`` are the columns that are read otherwise, each with an
    expression of its type, and ``computed`` the stored generated columns, to be told from the masked row. ``kinds``
    name the masks and ``shown`` the condition for people. ``subset`` tells that rows come for the sake of other rows;
    ``rows`` is their number then. ``is_of_the_row``: nothing but the row decides whether it is chosen, and what it is
    masked as: no other row, and no function of users, who may change it.
    ``fingerprint`` is another one for whatever else is read.
    """

    condition: str = field(default="", repr=False)
    masks: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    computed: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    kinds: tuple[tuple[str, str], ...] = ()
    shown: str = ""
    subset: bool = False
    rows: int | None = None
    is_of_the_row: bool = True
    fingerprint: str = ""

    @property
    def chosen_one_by_one(self) -> bool:
        """Whether the condition lists rows by their places, so that no further condition finds fewer of them faster."""
        return self.rows is not None

    @property
    def masked(self) -> frozenset[str]:
        """The names of the masked columns."""
        return frozenset(name for name, _ in self.masks)

    @property
    def told(self) -> str:
        """What is read, for people: which rows, and which columns are masked how."""
        masked = ", ".join(f"{name} masked by {kind}" for name, kind in self.kinds)
        return "; ".join(part for part in (self.shown, masked) if part)

    def __str__(self) -> str:
        told = ["of a subset" if self.subset else "of those chosen"] if self.condition else []
        if self.masks:
            told.append(f"{len(self.masks)} column{'s' if len(self.masks) > 1 else ''} masked")
        return ", ".join(told)


@dataclass(frozen=True)
class Table:
    """An ordinary (``kind`` r) or partitioned (``kind`` p) table.

    ``reltuples`` is -1 where the table was never analyzed (0 before 14). ``bytes`` is pg_table_size, TOAST included;
    ``pages`` counts the blocks of the main fork now. ``root`` is the topmost partitioned table of a partition.
    ``through_root`` marks a partition whose rows must be loaded through ``root``: a hash partition key above it hashes
    differently on another cluster. ``left_out`` are partitions, at any depth below a partitioned table (where
    ``through_root`` is set: below the root), that are not migrated: excluded, foreign or in another schema.
    ``names_objects`` tells that rows may hold names of objects (regclass and the like), which have to be there first.
    ``options`` are storage parameters, those of the TOAST table with the prefix ``toast.``; ``replica_identity`` is
    pg_class's letter. ``foreign_below``: foreign tables are among its partitions or children, at any
    depth. ``of_type`` and ``inherits`` (the parents of an inheritance child, no partition's) are for DDL.
    ``leans_outside``: what it uses is in part neither migrated nor of an extension. ``transform`` is what is read of it
    in the source; None for all rows as they are.
    """

    oid: int
    schema: str
    name: str
    kind: str
    persistence: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    is_partition: bool
    root: TableName | None
    parents: tuple[TableName, ...]
    through_root: bool
    reltuples: float
    pages: int
    bytes: int
    partition_key: str | None
    partition_bound: str | None
    comment: str | None
    left_out: tuple[TableName, ...] = ()
    names_objects: bool = False
    options: tuple[tuple[str, str], ...] = ()
    access_method: str | None = None
    of_type: str | None = None
    inherits: tuple[str, ...] = ()
    replica_identity: str = "d"
    foreign_below: bool = False
    leans_outside: bool = False
    transform: RowTransform | None = None

    @property
    def key(self) -> TableName:
        """Schema and name."""
        return self.schema, self.name

    @property
    def stored_columns(self) -> tuple[Column, ...]:
        """The columns that rows are copied for: all but generated ones, which the target computes."""
        return tuple(column for column in self.columns if not column.generated)

    @property
    def computed_columns(self) -> tuple[Column, ...]:
        """The generated columns that both sides have values of, each its own."""
        return tuple(column for column in self.columns if column.generated not in ("", VIRTUAL))


@dataclass(frozen=True)
class Sequence:
    """A sequence; its position is data and not part of this."""

    oid: int
    schema: str
    name: str
    owned_by: tuple[str, str, str] | None
    identity: bool

    @property
    def key(self) -> TableName:
        """Schema and name."""
        return self.schema, self.name


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key that somebody declared: copies that partitions inherit are not listed."""

    schema: str
    name: str
    table: TableName
    columns: tuple[str, ...]
    referenced: TableName
    referenced_columns: tuple[str, ...]
    valid: bool
    address: Address


@dataclass(frozen=True)
class ConfigurationTable:
    """A table (``kind`` r) or sequence (``kind`` S) of an extension whose contents are the users'.

    ``condition`` is what follows FROM to choose users' rows; ``referenced`` are OIDs of tables that foreign keys point
    to; ``triggers`` are those that fire, with pg_trigger.tgenabled.
    """

    extension: str
    oid: int
    schema: str
    name: str
    kind: str
    condition: str
    columns: tuple[str, ...]
    key_columns: tuple[str, ...]
    referenced: tuple[int, ...]
    triggers: tuple[tuple[str, str], ...]

    @property
    def key(self) -> TableName:
        """Schema and name."""
        return self.schema, self.name


@dataclass(frozen=True)
class SchemaObject:
    """Something that DDL makes.

    ``kind``, ``schema`` (in the discovered database), ``table`` (or view) and ``name`` identify it among all others.
    ``statements`` make it in the target: every name in them is qualified with the target's schema names.
    ``drop`` undoes them; it is empty where dropping the thing that this belongs to does. ``search_path`` is the schema
    that a session may need on its search_path for functions whose bodies name things without a schema.
    ``replaceable`` says that running ``statements`` over an existing object of the same identity replaces it.
    ``parallel`` are other statements that make the same key, first its index, which does not keep others from being
    built on the table meanwhile; empty where PostgreSQL has no such way. ``lookups`` tell what its expressions mean
    beyond what the statements say. ``calls`` are functions, as DDL names them, that may run when an index is built or a
    materialized view filled, and that have no search_path of their own. ``becomes`` are the roles that whoever runs the
    statements has to act for: a new owner, a grantor. ``head`` and ``elements`` are the first statement of a type that
    can be altered: how it begins, and the labels, attributes or clauses that it lists.
    """

    address: Address
    kind: str
    schema: str
    name: str
    table: TableName | None
    phase: Phase
    statements: tuple[str, ...] = field(repr=False)  # may hold passwords
    drop: str
    search_path: str
    depends_on: frozenset[Address]
    replaceable: bool = False
    parallel: tuple[str, ...] = ()
    lookups: frozenset[Lookup] = frozenset()
    calls: tuple[str, ...] = ()
    becomes: frozenset[str] = frozenset()
    head: str = field(default="", repr=False)
    elements: tuple[str, ...] = field(default=(), repr=False)

    @property
    def shown(self) -> tuple[str, ...]:
        """The statements as people may see them."""
        return tuple(without_secrets(self.kind, self.name, statement) for statement in self.statements)

    @property
    def identity(self) -> str:
        """How messages name it."""
        if self.kind in ("comment", "security label", "extension dependency", "owner", "privileges", "settings"):
            return f"{self.kind} of {self.name}"
        place = f"{self.schema}." if self.schema and self.kind != "schema" else ""
        if self.table is not None and self.kind not in ("table", "foreign table", "sequence"):
            return f"{self.kind} {self.name} on {self.table[0]}.{self.table[1]}"
        return f"{self.kind} {place}{self.name}"


@dataclass(frozen=True)
class Notice:
    """Something that is not copied, or not as it was: by name, with the reason."""

    kind: str
    name: str
    reason: str


ReferringColumn = tuple[str, str, str]
"""Schema, table and name of a column whose values may be OIDs of large objects."""

HeldGrant = Many[str | None]
"""Grantor, grantee (None for PUBLIC), privilege, and whether with grant option."""


@dataclass(frozen=True)
class PrivilegesOfLargeObjects:
    """Large objects of one owner with the same privileges: ``acl`` is their text, the same on every server.

    ``readable`` tells whether the role that connects may read them. ``example`` is the OID of the first one.
    """

    owner: str
    acl: str
    held: Many[HeldGrant]
    by_default: Many[HeldGrant]
    objects: int
    readable: bool
    example: int


@dataclass(frozen=True)
class LargeObjects:
    """The large objects that are to be copied: those that ``columns`` refer to, or all of the database (None)."""

    objects: int
    columns: tuple[ReferringColumn, ...] | None
    privileges: tuple[PrivilegesOfLargeObjects, ...]


@dataclass(frozen=True, eq=False)
class Catalog:
    """Everything in the chosen schemas of one database. Each is a reading of its own: equal to itself alone.

    ``version`` is server_version_num. ``schemas`` maps each schema to its name in the target. ``objects`` is in one
    order in which every object comes after all that it depends on, phase by phase. ``parts`` are what statements of
    tables make on the side (defaults, checks), as it could be made alone: to mend a table that is kept. ``unused`` are
    objects without a schema, such as extensions, that nothing in the schemas needs: not to be made, but there.
    ``roles`` are those that statements name. ``settings`` are set on the database itself (ALTER DATABASE ... SET), as
    name and value. ``role`` is the one that connects. ``compression_methods`` are those that the server was built with.
    ``remembered`` is what an earlier migration into this database noted (`ledger.equivalences`), and
    ``brought`` what earlier ones brought here and from which schema of the source (`ledger.brought_objects`).
    ``excluded`` are the objects that were left out: with excluded tables, or since the target's role can't give them.
    Something outside the chosen schemas leans on ``needed_outside``.
    ``configurations`` belong to the extensions among the objects. ``large_objects`` are those to copy, None where there
    are none; ``has_brought_large_objects`` tells whether earlier migrations brought some here.
    """

    version: int
    schemas: Mapping[str, str]
    tables: tuple[Table, ...]
    sequences: tuple[Sequence, ...]
    foreign_keys: tuple[ForeignKey, ...]
    objects: tuple[SchemaObject, ...]
    parts: tuple[SchemaObject, ...] = ()
    unused: tuple[SchemaObject, ...] = ()
    notices: tuple[Notice, ...] = ()
    unmatched_patterns: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    role: str = ""
    compression_methods: frozenset[str] = frozenset()
    remembered: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    configurations: tuple[ConfigurationTable, ...] = ()
    brought: Mapping[str, str] = field(default_factory=dict)
    excluded: tuple[SchemaObject, ...] = ()
    needed_outside: frozenset[Address] = frozenset()
    large_objects: LargeObjects | None = None
    has_brought_large_objects: bool = False

    @cached_property
    def tables_by_name(self) -> Mapping[TableName, Table]:
        """Tables by schema and name."""
        return {table.key: table for table in self.tables}

    @cached_property
    def calls(self) -> Mapping[TableName, Many[str]]:
        """The functions that what belongs to a table calls, for every table that has some (`SchemaObject.calls`)."""
        found: dict[TableName, list[str]] = {}
        for item in self.objects:
            if item.table is not None and item.calls:
                found[item.table] = [*found.get(item.table, ()), *item.calls]
        return {table: tuple(dict.fromkeys(functions)) for table, functions in found.items()}

    @cached_property
    def relations(self) -> frozenset[TableName]:
        """Tables of all kinds and views by schema and name; those of extensions are not among them."""
        views = (item for item in self.objects if item.kind in ("view", "materialized view", "foreign table"))
        return frozenset(self.tables_by_name) | {(view.schema, view.name) for view in views}

    def target_name(self, table: TableName) -> TableName:
        """The table's schema and name in the target."""
        return self.schemas[table[0]], table[1]

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """Number of objects per kind."""
        counted: dict[str, int] = {}
        for item in self.objects:
            counted[item.kind] = counted.get(item.kind, 0) + 1
        return counted
