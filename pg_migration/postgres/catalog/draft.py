"""An object while the catalog is being put together, before phases and order are known."""

from dataclasses import dataclass, field

from pg_migration.postgres.catalog.model import Address, Phase

# OIDs of the system catalogs that addresses speak of. They are fixed: src/include/catalog/*.h, CATALOG(name, OID, ...).
PG_TYPE = 1247
PG_CLASS = 1259
PG_DATABASE = 1262
PG_ATTRDEF = 2604
PG_CONSTRAINT = 2606
PG_NAMESPACE = 2615
PG_OPERATOR = 2617
PG_REWRITE = 2618
PG_FOREIGN_SERVER = 1417
PG_EXTENSION = 3079

# What is made later than initdb has this OID or a higher one: src/include/access/transam.h, FirstNormalObjectId.
FIRST_OF_USERS = 16384

# By pg_constraint.contype.
CONSTRAINT_KINDS = {
    "c": "check",
    "f": "foreign key",
    "n": "not null",
    "p": "primary key",
    "u": "unique",
    "x": "exclusion",
}


@dataclass
class Draft:
    """What a builder knows of one object.

    ``relation`` is the OID of the table or view that it belongs to, 0 for none. ``requires`` holds what it needs beyond
    what pg_depend says, ``phase`` is the earliest one. ``catalog_rows`` are other addresses that mean this object, such
    as the pg_attrdef row of a generated column. ``parts`` are made by the draft's own statements, but could be made
    alone: defaults and checks inside CREATE TABLE. ``base`` is what a comment or an owner is said of: with it, the
    draft comes and goes. ``shell`` makes an empty object that others can refer to before the real one is made.
    ``parallel``, ``head`` and ``elements`` are as in `SchemaObject`. ``only_if_used`` marks what belongs to no
    schema and is made where something else needs it. ``roles`` are named in the statements; ``becomes`` are those that
    whoever runs them has to act for. ``forgone`` says what is left out because the target's role may not give it.
    ``aliases`` are places, statement by statement, where the name of a schema is that of a table. The last two are of
    functions: a search_path of their own, and a body kept as text.
    """

    address: Address
    kind: str
    schema: str
    name: str
    phase: Phase
    statements: tuple[str, ...]
    drop: str = ""
    relation: int = 0
    requires: set[Address] = field(default_factory=set)
    catalog_rows: set[Address] = field(default_factory=set)
    replaceable: bool = False
    parts: list["Draft"] = field(default_factory=list)
    base: Address | None = None
    shell: str = ""
    parallel: tuple[str, ...] = ()
    head: str = ""
    elements: tuple[str, ...] = ()
    only_if_used: bool = False
    roles: frozenset[str] = frozenset()
    becomes: frozenset[str] = frozenset()
    forgone: tuple[str, ...] = ()
    aliases: dict[str, set[int]] = field(default_factory=dict)
    search_path_setting: str = ""
    body: str = ""
