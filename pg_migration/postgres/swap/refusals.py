"""What stands in the way of a swap, looked at before anything is loaded."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Catalog, SchemaObject
from pg_migration.postgres.catalog.schema_renaming import quote
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.figures import listed
from pg_migration.postgres.preflight import Finding, error, passed
from pg_migration.postgres.roles.reach import quoted
from pg_migration.postgres.swap.names import is_too_long, next_name, previous_name
from pg_migration.postgres.swap.shadows import dependents, leaning_on, ours, present
from pg_migration.postgres.swap.views import views_on

SWAP = "swap"
MAX_NAMED = 20
SCHEMAS_PUBLISHED_SINCE = 150000
# Made to follow by the swap itself, whoever has made them.
PUBLICATIONS = frozenset({"publication", "publication table", "publication schema"})
_CARRIED = PUBLICATIONS | {"default privileges"}
# Made for the whole database, and where they name something of a schema, that is the one that is loaded.
_OF_TYPES = frozenset({"cast", "transform"})
_SAID = frozenset({"owner", "privileges", "comment", "security label", "default privileges"})

# PostgreSQL docs: ALTER PUBLICATION ("must be a superuser" to add all tables of a schema).
_SCHEMAS_PUBLISHED = """
SELECT p.pubname
  FROM pg_publication_namespace r
  JOIN pg_publication p ON p.oid = r.pnpubid
  JOIN pg_namespace n ON n.oid = r.pnnspid
 WHERE n.nspname = ANY (%s::text[]) AND NOT (SELECT u.rolsuper FROM pg_roles u WHERE u.rolname = current_user)
 ORDER BY 1
"""
_EXTENSIONS = "SELECT extname FROM pg_extension"


def without_publications(source: Catalog) -> Catalog:
    """The source's structure less its publications, which are made when what they publish is live."""
    later = of_publications(source)
    return replace(source, objects=tuple(item for item in source.objects if item.address[:2] not in later))


def of_publications(source: Catalog) -> frozenset[tuple[int, int]]:
    """Where the source's catalogs have its publications and what they publish: what is said of them is there, too."""
    return frozenset(item.address[:2] for item in source.objects if item.kind in PUBLICATIONS)


def look_at_swap(
    target: Connection,
    live: Sequence[str],
    source: Catalog,
    own: Collection[SchemaObject],
    left_out: Collection[SchemaObject] = (),
) -> Iterator[Finding]:
    """Everything that would make a swap fail, or lose something; one finding that all is well where there is nothing.

    Args:
        live: the target's schemas, as people know them.
        source: its structure.
        own: what only the target has.
        left_out: what the target has and the migration leaves out.
    """
    found = [
        *_names(target, live),
        *_leaning(target, live),
        *_surplus(live, own, left_out),
        *_of_source(target, source),
    ]
    yield from found
    if not found:
        there = sorted(present(target, live))
        beside = f"beside {listed(there)}, which takes room for two copies" if there else "at first"
        yield passed(
            SWAP, f"loaded into {listed(map(next_name, live))} {beside}, and swapped when every check has passed"
        )


def _names(target: Connection, live: Sequence[str]) -> Iterator[Finding]:
    for schema in live:
        if is_too_long(schema):
            yield error(
                SWAP,
                f"the schemas beside {schema} have too long names: {previous_name(schema)} has more than 63 bytes",
                "Use refresh: in_place, or give the schema a shorter name in the target",
            )
    inner = [name for schema in live for name in (next_name(schema), previous_name(schema))]
    if both := sorted(set(inner) & set(live)):
        yield error(SWAP, f"{listed(both)} is a live schema and one beside a live schema", "Migrate them one by one")
    known = ours(target, inner)
    if leaning := leaning_on(target, known.keys()) if known else []:
        yield error(
            SWAP,
            f"schema {listed(known)} of the target is to go, as it holds what was loaded earlier, and others lean on "
            f"it: {listed(leaning, MAX_NAMED)}",
            "Drop them or let them use the live schema",
        )
    for name in sorted(present(target, inner).keys() - known.keys()):
        yield error(
            SWAP,
            f"the target has a schema {name} that no run of this program has made",
            "Give it another name, or drop it",
        )


_REMEDIES = {
    "extension": "Move it: ALTER EXTENSION ... SET SCHEMA, to a schema that is not swapped",
    "subscription": "Use refresh: in_place, or take it out of the subscription",
    "right": "The role that connects has to be a member of that role, or have that right",
}


def _leaning(target: Connection, live: Sequence[str]) -> Iterator[Finding]:
    """What would stay with the copy that goes."""
    found = dependents(target, live)
    leaning = [f"{d.name} (on {d.needed})" for d in found if d.what == "dependent"]
    if leaning:
        yield error(
            SWAP,
            f"outside of schema {listed(live)} of the target others lean on it, and would stay with the copy that "
            f"goes: {listed(leaning, MAX_NAMED)}",
            "Drop them, or use refresh: in_place. Views and publications need not go: they follow",
        )
    for d in found:
        if d.what != "dependent":
            yield error(
                SWAP, f"{d.name} is in the way of a swap{f' ({d.needed})' if d.needed else ''}", _REMEDIES[d.what]
            )
    if target.server_version >= SCHEMAS_PUBLISHED_SINCE:
        for (name,) in fetch(target, _SCHEMAS_PUBLISHED, (list(live),)):
            yield error(
                SWAP,
                f"publication {name} has all tables of a schema that is swapped, and only superusers may let it follow",
                "Connect as one, name the tables in it, or use refresh: in_place",
            )
    for view in views_on(target, live):
        if not view.owned:
            yield error(
                SWAP,
                f"view {view.name} reads what is swapped, and belongs to {view.owner}",
                f"Have {view.owner} granted to the role that connects: only then can the view be made to follow",
            )


def _surplus(
    live: Sequence[str], own: Collection[SchemaObject], left_out: Collection[SchemaObject]
) -> Iterator[Finding]:
    names = [item.identity for item in own if _goes(item)]
    if names:
        yield error(
            SWAP,
            f"only the target has, in what is swapped: {listed(names, MAX_NAMED)}. It would go with the copy that goes",
            "Drop it or move it to a schema of its own, or use refresh: in_place",
        )
    if named := [item.identity for item in left_out if item.kind not in _SAID]:
        yield error(
            SWAP,
            f"left out of the migration, and in schema {listed(live)} of the target: {listed(named, MAX_NAMED)}. It "
            f"would go with the copy that goes",
            "Drop it or move it to a schema of its own, or use refresh: in_place",
        )


def _goes(item: SchemaObject) -> bool:
    """Whether an object of the target goes with the schemas: what is in them, or belongs to their types."""
    inside = bool(item.schema) or item.table is not None or item.kind in _OF_TYPES
    return inside and item.kind not in _CARRIED


def _of_source(target: Connection, source: Catalog) -> Iterator[Finding]:
    if source.large_objects is not None:
        yield error(
            SWAP,
            "the source has large objects, which have no schema: readers would see the new ones before the swap",
            "Set large_objects: false, or use refresh: in_place",
        )
    places = tuple(f"SCHEMA {form}" for name in source.schemas.values() for form in (quote(name), quoted(name)))
    wanted = {
        item.name
        for item in source.objects
        if item.kind == "extension" and any(place in text for text in item.statements for place in places)
    }
    installed = {name for (name,) in fetch(target, _EXTENSIONS)}
    for name in sorted(wanted - installed):
        yield error(
            SWAP,
            f"extension {name} would be made in a schema that is swapped, as it is in the source",
            f"Make it in another schema of the target beforehand: CREATE EXTENSION {quoted(name)} SCHEMA ...",
        )
