"""What a role that is no superuser of the target can't make: left out and named, with all that is built on it.

These belong to the whole database, and a copy is of use without them. What tables are built on is another matter: where
that can't be made, the migration is refused (`permissions`), since rows would be lost.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from pg_migration.postgres.catalog import Address, Catalog, Notice, SchemaObject
from pg_migration.postgres.catalog.draft import PG_DATABASE, PG_TYPE
from pg_migration.postgres.catalog.identity import identity_of, is_same, there
from pg_migration.postgres.catalog.objects.kinds import LABEL_OF_DATABASE
from pg_migration.postgres.catalog.ordering.graph import reachable
from pg_migration.postgres.ddl.reconciliation.permissions import Judge
from pg_migration.postgres.ddl.reconciliation.surplus import PARTS_OF_RELATIONS, RELATIONS, SAID_OF

SUBSCRIBERS = "pg_create_subscription"
_WRAPPER = re.compile(r'FOREIGN DATA WRAPPER "((?:[^"]|"")*)"$')
# PostgreSQL docs, CREATE ...: "must be a superuser"; languages that an extension brings are the extension's.
_SUPERUSERS = frozenset({"event trigger", "foreign-data wrapper", "language", "access method", "publication schema"})
_PARTS = SAID_OF | PARTS_OF_RELATIONS
_CANDIDATES = _SUPERUSERS | {"publication", "subscription", "server", "cast", "transform", "database"}


def has_candidates(source: Catalog) -> bool:
    """Whether the source has anything of the kinds that a role may have to leave out."""
    return any(map(_is_candidate, source.objects))


def _is_candidate(item: SchemaObject) -> bool:
    return item.kind in _CANDIDATES or _is_on_what_is_no_users(item)


def _is_on_what_is_no_users(item: SchemaObject) -> bool:
    """Whether it is said of the database or of what is part of PostgreSQL, and so of no object of the source."""
    return item.kind in ("owner", "privileges") and not item.depends_on


def what_can_be_made(judge: Judge) -> Catalog:
    """The source's catalog less what the role may not make in the target and no table is built on; that is noticed.

    What is in the target already as in the source, since a superuser has made it there, stays.
    """
    source, theirs = judge.source, there(judge.target)
    dependents = _dependents(source)
    tables = {item.address for item in source.objects if item.kind == "table"}
    reasons: dict[Address, str] = {}
    gone: dict[Address, Address] = {}
    for item in source.objects:
        found = theirs.get(identity_of(source, item))
        if not _is_candidate(item) or (found and is_same(source, judge.target, item, found)):
            continue
        if (reason := _reason(judge, item)) is not None:
            lost = reachable([item.address], dependents)
            if tables.isdisjoint(lost):
                reasons[item.address] = reason
                gone |= {address: item.address for address in lost if address not in gone}
    if not gone:
        return source
    return replace(
        source,
        objects=tuple(item for item in source.objects if item.address not in gone),
        excluded=(*source.excluded, *(item for item in source.objects if item.address in gone)),
        notices=(*source.notices, *_notices(judge, reasons, gone)),
    )


def _dependents(source: Catalog) -> Mapping[Address, list[Address]]:
    found: dict[Address, list[Address]] = {}
    for item in source.objects:
        for needed in item.depends_on:
            found.setdefault(needed, []).append(item.address)
    return found


def _reason(judge: Judge, item: SchemaObject) -> str | None:
    """Why the role may not make an object; None where it may."""
    reach, standing = judge.reach, judge.standing
    if item.kind in _SUPERUSERS or (item.kind == "publication" and " FOR ALL " in item.head):
        return "only a superuser may make it"
    if item.kind in ("cast", "transform") and not any(address.classid == PG_TYPE for address in item.depends_on):
        return "only a superuser may make it for types that are part of PostgreSQL"
    if item.kind == "database" or (_is_on_what_is_no_users(item) and item.address.classid == PG_DATABASE):
        return _of_database(judge, item)
    if _is_on_what_is_no_users(item):
        return "only a superuser may change what is part of PostgreSQL"
    if item.kind == "subscription":
        member = reach.memberships.get(SUBSCRIBERS)
        return None if member and member.usable else f"only a superuser or member of {SUBSCRIBERS} may make it"
    if item.kind == "publication" and not standing.may_create_schemas:
        return f"it takes CREATE on database {reach.database}"
    if item.kind == "server" and (wrapper := _WRAPPER.search(item.head)):
        name = wrapper[1].replace('""', '"')
        return None if name in standing.wrappers else f"it takes USAGE on foreign-data wrapper {name}"
    return None


def _of_database(judge: Judge, item: SchemaObject) -> str | None:
    if item.kind == "owner":
        return "only a superuser may give the database away"
    if item.name.startswith("setting ") and item.head not in ("", judge.reach.role):
        return f"only a superuser may set it for role {item.head}"
    if item.name.startswith("setting ") and item.name.split()[1] in judge.standing.superusers_parameters:
        return "only a superuser may set it"
    return None if judge.standing.owns_database else "only the database's owner may"


def _notices(judge: Judge, reasons: Mapping[Address, str], gone: Mapping[Address, Address]) -> Iterator[Notice]:
    items = {item.address: item for item in judge.source.objects}
    relations = {(items[a].schema, items[a].name) for a in gone if items[a].kind in RELATIONS}
    for address, cause in gone.items():
        item = items[address]
        name = f"{item.schema}.{item.name}" if item.schema else item.name
        if address in reasons:
            made = "; what is there and the same is kept"
            yield Notice(
                item.kind, name, f"{reasons[address]}, and role {judge.reach.role} of the target is none{made}"
            )
        elif item.kind in RELATIONS or (item.kind not in _PARTS and item.table not in relations):
            yield Notice(
                item.kind, name, f"it needs {items[cause].identity}, which the role of the target may not make"
            )


def providers_of_labels(source: Catalog) -> frozenset[str]:
    """The providers of the security labels that the source has."""
    return frozenset(filter(None, map(_provider, source.objects)))


def without_labels(source: Catalog, providers: Collection[str]) -> Catalog:
    """The source's catalog less the security labels of some providers, which are noticed."""
    reason = "the target has not loaded this provider, which sets labels (see LOAD)"
    return _without(source, [item for item in source.objects if _provider(item) in providers], reason)


def on_part_of_server(source: Catalog) -> frozenset[str]:
    """The names of the objects that are part of PostgreSQL, of whose privileges the source says something."""
    return frozenset(item.name for item in source.objects if _is_on_part_of_server(item))


def without_privileges(source: Catalog, names: Collection[str]) -> Catalog:
    """The source's catalog less the privileges on some objects that are part of PostgreSQL, which are noticed."""
    gone = [item for item in source.objects if _is_on_part_of_server(item) and item.name in names]
    return _without(source, gone, "the target's PostgreSQL has nothing of this name")


def _is_on_part_of_server(item: SchemaObject) -> bool:
    return item.kind == "privileges" and _is_on_what_is_no_users(item) and item.address.classid != PG_DATABASE


def _without(source: Catalog, gone: Sequence[SchemaObject], reason: str) -> Catalog:
    if not gone:
        return source
    addresses = {item.address for item in gone}
    return replace(
        source,
        objects=tuple(item for item in source.objects if item.address not in addresses),
        excluded=(*source.excluded, *gone),
        notices=(*source.notices, *(Notice(item.kind, item.name, reason) for item in gone)),
    )


def _provider(item: SchemaObject) -> str | None:
    if item.kind == "database" and item.name.startswith(LABEL_OF_DATABASE):
        return item.name.removeprefix(LABEL_OF_DATABASE)
    return item.head if item.kind == "security label" else None
