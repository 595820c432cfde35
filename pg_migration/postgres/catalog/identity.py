"""When an object of one catalog is the same as an object of another."""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from weakref import WeakKeyDictionary

from pg_migration.postgres.catalog import Catalog, SchemaObject, Table

MULTIRANGES_SINCE = 140000
_MULTIRANGE = re.compile(r', MULTIRANGE_TYPE_NAME = ("(?:[^"]|"")*"\.?)+')

Identity = tuple[str, str, tuple[str, str] | None, str]
"""Kind, schema, table and name, as the target calls them."""

# A plan asks for them again and again. They live as long as their catalog.
_KNOWN: WeakKeyDictionary[Catalog, Mapping[Identity, SchemaObject]] = WeakKeyDictionary()

# Kinds whose names hold the names of types, as DDL writes them.
_NAMED_WITH_TYPES = frozenset(
    {
        "function",
        "aggregate",
        "operator",
        "operator family member",
        "cast",
        "transform",
        "comment",
        "security label",
        "extension dependency",
        "owner",
        "privileges",
    }
)
# One version writes quotes where another has made the name a keyword (json, from 16 on).
_NEEDLESS_QUOTES = re.compile(r'"([a-z_][a-z0-9_]*)"')


def identity_of(catalog: Catalog, item: SchemaObject) -> Identity:
    """What an object is called in the target, whichever of the two catalogs it is from."""
    schema = catalog.schemas.get(item.schema, item.schema) if item.kind != "schema" else ""
    name = catalog.schemas.get(item.name, item.name) if item.kind == "schema" else item.name
    table = None if item.table is None else catalog.target_name(item.table)
    if item.kind in _NAMED_WITH_TYPES:
        name = _NEEDLESS_QUOTES.sub(r"\1", name).replace("pg_catalog.", "")
    return item.kind, schema, table, name


def by_identity(catalog: Catalog) -> Mapping[Identity, SchemaObject]:
    """All objects of a catalog, and what statements of tables make on the side."""
    if (known := _KNOWN.get(catalog)) is None:
        _KNOWN[catalog] = known = {identity_of(catalog, item): item for item in (*catalog.parts, *catalog.objects)}
    return known


def there(target: Catalog) -> Mapping[Identity, SchemaObject]:
    """The same, and what the target has although nothing in its schemas needs it."""
    return {**{identity_of(target, item): item for item in target.unused}, **by_identity(target)}


def stored_expressions(catalog: Catalog, table: Table) -> Mapping[Identity, str]:
    """What is computed for each row of a table: its partition key and its generated columns.

    CREATE TABLE says them among much else; with an identity of their own they stay the same when that changes.
    """
    schema, name = key = catalog.target_name(table.key)
    found: dict[Identity, str] = {
        ("generated column", schema, key, column.name): column.default
        for column in table.columns
        if column.generated and column.default is not None
    }
    if table.partition_key:
        found["partition key", schema, key, name] = table.partition_key
    return found


def digest(statements: Sequence[str]) -> str:
    """A short stand-in for an object's DDL."""
    return sha256("\0".join(statements).encode(errors="surrogateescape")).hexdigest()


def memory_key(identity: Identity) -> str:
    """The identity as one text."""
    return repr(identity)


def _plain(statements: Sequence[str]) -> list[str]:
    return [_NEEDLESS_QUOTES.sub(r"\1", statement) for statement in statements]


def is_same(source: Catalog, target: Catalog, ours: SchemaObject, theirs: SchemaObject) -> bool:
    """Whether the target's object is what the source's statements make.

    Its expressions find the same operators, and either server writes the same text; or the target wrote just this after
    an earlier migration had made the object from just that (servers of different versions do not write alike).
    """
    if ours.kind == "extension":
        # Where it is and in which version is the target's own affair.
        return True
    if ours.kind == "user mapping" and any(not _is_told(side) for side in (ours, theirs)):
        return True
    if ours.lookups != theirs.lookups:
        return False
    if ours.statements == theirs.statements or _plain(ours.statements) == _plain(theirs.statements):
        return True
    if source.version < MULTIRANGES_SINCE <= target.version and ours.kind == "type":
        return ours.statements == tuple(_MULTIRANGE.sub("", statement) for statement in theirs.statements)
    return _is_remembered(target, identity_of(source, ours), ours.statements, theirs.statements)


def _is_told(mapping: SchemaObject) -> bool:
    """Whether the role could read the options of a user mapping."""
    return not mapping.statements[0].startswith("CREATE USER MAPPING IF NOT EXISTS ")


def is_same_expression(target: Catalog, identity: Identity, ours: str, theirs: str) -> bool:
    """Whether one of the `stored_expressions` is the same on both sides; what it finds is the table's affair."""
    return _plain([ours]) == _plain([theirs]) or _is_remembered(target, identity, [ours], [theirs])


def _is_remembered(target: Catalog, identity: Identity, ours: Sequence[str], theirs: Sequence[str]) -> bool:
    remembered = target.remembered.get(memory_key(identity))
    return remembered is not None and remembered == (digest(ours), digest(theirs))
