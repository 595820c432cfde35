"""What of a migration's DDL the role that connects to the target may not do there: found before any of it runs."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from pg_migration.postgres.catalog import Address, Catalog, Notice, SchemaObject
from pg_migration.postgres.catalog.draft import PG_CLASS, PG_EXTENSION, PG_NAMESPACE
from pg_migration.postgres.catalog.identity import Identity, identity_of, is_same, there
from pg_migration.postgres.ddl.reconciliation.surplus import RELATIONS
from pg_migration.postgres.roles.reach import Reach, Standing, quoted

# What is said of an object by somebody who has its owner's rights, and can be left unsaid.
SAID_KINDS = frozenset({"owner", "privileges", "comment", "security label", "default privileges"})

# PostgreSQL docs: CREATE TYPE, CREATE OPERATOR CLASS, CREATE TEXT SEARCH PARSER and so on, "must be a superuser".
_SUPERUSERS_KINDS = frozenset(
    {
        "access method",
        "operator class",
        "operator family",
        "operator family member",
        "text search parser",
        "text search template",
    }
)
_SUPERUSERS_DDL = {
    # A base type, and a shell: nothing follows its name.
    "type": re.compile(r'\bINPUT = |^CREATE TYPE (?:"(?:[^"]|"")*"|[^\s"])+$'),
    "cast": re.compile(r"\bWITHOUT FUNCTION\b"),
}
_LANGUAGE = re.compile(r'^ LANGUAGE "?(.+?)"?$', re.MULTILINE)


@dataclass(frozen=True)
class Obstacle:
    """An object that can't be made, or be dropped: what the role may not do, and what would help.

    ``instead`` are statements that somebody else may run beforehand.
    """

    object: SchemaObject
    reason: str
    remedy: str
    instead: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judge:
    """Compares what is to be done with what may be done. Both catalogs are as `reconcile` takes them."""

    source: Catalog
    target: Catalog
    reach: Reach
    standing: Standing

    def obstacles(self, create: Iterable[SchemaObject], dropped: Iterable[SchemaObject] = ()) -> list[Obstacle]:
        """Every object of the source that can't be made, and of the target that can't be dropped."""
        if self.reach.superuser:
            return []
        return [*(found for item in create for found in self._making(item)), *self._dropping(dropped)]

    def _making(self, item: SchemaObject) -> Iterator[Obstacle]:
        for role in sorted(item.becomes):
            if self.reach.has(role) and not self._may_act(item, role):
                yield Obstacle(item, f"act for {role}", self.reach.remedy(role))
        if (owner := self._foreign_owner(item)) is not None:
            yield self._belongs(item, owner)
        elif item.kind == "owner":
            yield from self._giving(item)
        if item.kind in _SUPERUSERS_KINDS or self._is_superusers(item):
            yield Obstacle(
                item,
                "make what only a superuser may",
                "Have a superuser make it in the target beforehand (what is the same is kept), or connect as one",
            )

    def _is_superusers(self, item: SchemaObject) -> bool:
        if item.kind == "function":
            head = item.statements[0].partition("\nAS ")[0]
            language = _LANGUAGE.search(head)
            return "LEAKPROOF" in head or bool(language and language[1] in self.standing.superusers_languages)
        pattern = _SUPERUSERS_DDL.get(item.kind)
        return pattern is not None and any(pattern.search(statement) for statement in item.statements)

    def _may_act(self, item: SchemaObject, role: str) -> bool:
        return self.reach.may_become(role) if item.kind == "privileges" else self.reach.may_own(role)

    def _giving(self, item: SchemaObject) -> Iterator[Obstacle]:
        """Whether the new owner has, or can be lent, what the server asks of it."""
        (role,) = item.becomes
        if item.address.classid == PG_NAMESPACE:
            if not self.standing.may_create_schemas:
                database = self.reach.database
                yield Obstacle(
                    item,
                    f"give away schemas without CREATE on database {database}",
                    f"As its owner run: GRANT CREATE ON DATABASE {quoted(database)} TO {quoted(self.reach.role)};",
                )
            return
        schema = item.search_path
        if (found := self._schemas.get(schema)) is None or not self.reach.has(role):
            return
        if (schema, role) not in self.standing.creators and schema not in self.standing.lending:
            owner = self.standing.foreign.get(found, "its owner")
            yield Obstacle(
                item,
                f"give {role} anything in schema {schema}, where {role} may not create",
                f"As {owner} run: GRANT CREATE ON SCHEMA {quoted(schema)} TO {quoted(role)};",
            )

    def _belongs(self, item: SchemaObject, owner: str) -> Obstacle:
        instead = item.statements if item.kind in SAID_KINDS else ()
        remedy = self.reach.remedy(owner) if owner else "Only a superuser may."
        return Obstacle(item, f"change what belongs to {owner or 'a superuser'} in the target", remedy, instead)

    def _dropping(self, dropped: Iterable[SchemaObject]) -> Iterator[Obstacle]:
        for item in dropped:
            addresses = [item.address[:2], *(address[:2] for address in item.depends_on if _is_extension(address))]
            if item.table is not None and item.table in self._relations:
                addresses.append(self._relations[item.table])
            owner = next((self.standing.foreign[a] for a in addresses if a in self.standing.foreign), None)
            if owner is not None:
                yield Obstacle(item, f"change what belongs to {owner} in the target", self.reach.remedy(owner))

    @cached_property
    def _schemas(self) -> dict[str, tuple[int, int]]:
        return {item.name: item.address[:2] for item in self.target.objects if item.kind == "schema"}

    @cached_property
    def _relations(self) -> dict[tuple[str, str], tuple[int, int]]:
        return {
            (item.schema, item.name): item.address[:2]
            for item in self.target.objects
            if item.address.classid == PG_CLASS and item.kind in RELATIONS
        }

    @cached_property
    def _theirs(self) -> Mapping[Identity, SchemaObject]:
        return there(self.target)

    def _foreign_owner(self, item: SchemaObject) -> str | None:
        """Who owns, in the target, the thing that an object is or is said of; None where one may change it.

        What a trusted extension brings belongs to a superuser, whoever creates it (docs: CREATE EXTENSION).
        """
        base = self._objects.get(item.address._replace(subid=0, aspect=""), item) if item.kind in SAID_KINDS else item
        if base is item and item.kind in SAID_KINDS:
            for extension in (self._objects[a] for a in item.depends_on if _is_extension(a) and a in self._objects):
                found = self._theirs.get(identity_of(self.source, extension))
                if found is None or found.address[:2] in self.standing.foreign:
                    return self.standing.foreign[found.address[:2]] if found else ""
        found = self._theirs.get(identity_of(self.source, base))
        relation = self._relations.get(self.source.target_name(base.table)) if base.table is not None else None
        for address in (found.address[:2] if found else None, relation):
            if address is not None and address in self.standing.foreign:
                return self.standing.foreign[address]
        return None

    @cached_property
    def _objects(self) -> dict[Address, SchemaObject]:
        return {item.address: item for item in self.source.objects}


def _is_extension(address: Address) -> bool:
    return address.classid == PG_EXTENSION


def within_reach(catalog: Catalog, foreign: Collection[tuple[int, int]]) -> Catalog:
    """A target's catalog less what is said of objects that belong to others, and so can't be changed."""
    return replace(
        catalog,
        objects=tuple(item for item in catalog.objects if item.kind not in SAID_KINDS or not _is_of(item, foreign)),
    )


def _is_of(item: SchemaObject, foreign: Collection[tuple[int, int]]) -> bool:
    return item.address[:2] in foreign or any(a[:2] in foreign for a in item.depends_on if _is_extension(a))


def what_can_be_said(judge: Judge) -> Catalog:
    """The source's catalog less owners, privileges and comments that can't be given; what differs for it is noticed."""
    theirs = there(judge.target)
    gone = {found.object.address: found for found in judge.obstacles(judge.source.objects)}
    gone = {address: found for address, found in gone.items() if found.object.kind in SAID_KINDS}
    told = [
        Notice(found.object.kind, found.object.name, f"role {judge.reach.role} of the target may not {found.reason}")
        for found in gone.values()
        if (other := theirs.get(identity_of(judge.source, found.object))) is None
        or not is_same(judge.source, judge.target, found.object, other)
    ]
    return replace(
        judge.source,
        objects=tuple(item for item in judge.source.objects if item.address not in gone),
        # The source has not taken them back.
        excluded=(*judge.source.excluded, *(found.object for found in gone.values())),
        notices=(*judge.source.notices, *told),
    )
