"""What the target has and the source does not: taken back by the source, or never the source's at all."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from pg_migration.postgres.catalog import Address, Catalog, SchemaObject
from pg_migration.postgres.catalog.draft import PG_EXTENSION, PG_NAMESPACE
from pg_migration.postgres.catalog.identity import Identity, by_identity, identity_of, memory_key, there
from pg_migration.postgres.catalog.ordering.graph import reachable

# What belongs to the whole database, or holds more than the source's objects.
NEVER_DROPPED = frozenset({"schema", "extension", "language", "access method"})
# What is said of another object, in a catalog row of that object or beside it. It is never anybody's own: where the
# source has the object, this is as in the source.
SAID_OF = frozenset(
    {
        "comment",
        "domain constraint",
        "extension dependency",
        "materialized view rows",
        "owner",
        "privileges",
        "security label",
        "shell",
    }
)
# What is part of a table's (or view's) definition, likewise.
PARTS_OF_RELATIONS = frozenset(
    {
        "check",
        "clustered",
        "compression",
        "default",
        "exclusion",
        "foreign key",
        "identity",
        "index attachment",
        "not null",
        "partition",
        "primary key",
        "replica identity",
        "row security",
        "sequence owner",
        "unique",
        "validation",
        "view default",
    }
)
KEYS = ("primary key", "unique", "exclusion")
TABLES = frozenset({"table", "foreign table"})
RELATIONS = TABLES | {"view", "materialized view"}


class Verdict(Enum):
    """Why the target may have something that the source lacks."""

    TAKEN_BACK = "the source does not have it any more"
    NEEDED = "the source does not have it any more, but something else in the target is built on it"
    OWN = "it never came from this source"


@dataclass(frozen=True)
class Surplus:
    """The surplus of one target, each object with a verdict.

    What belongs to a surplus object, or is said of it, shares that one's verdict.
    """

    source: Catalog
    target: Catalog

    @cached_property
    def verdicts(self) -> Mapping[Address, Verdict]:
        """Every object that only the target has."""
        verdicts = {address: self._verdict(item) for address, item in self._surplus.items()}
        blocking = {
            *(address for address, verdict in verdicts.items() if verdict is Verdict.OWN),
            *(item.address for key, item in self._theirs.items() if self._has_to_stay(key, item)),
            *self.target.needed_outside,
        }
        going = [address for address, verdict in verdicts.items() if verdict is Verdict.TAKEN_BACK]
        for address in going:
            lost = reachable([address], self.dependents)
            if not blocking.isdisjoint(lost):
                verdicts[address] = Verdict.NEEDED
        return verdicts

    @cached_property
    def taken_back(self) -> frozenset[Address]:
        """What goes."""
        return frozenset(a for a, verdict in self.verdicts.items() if verdict is Verdict.TAKEN_BACK)

    def staying(self, verdict: Verdict) -> list[SchemaObject]:
        """The objects with a verdict, without what only belongs to others or is said of them."""
        return [item for a, item in self._surplus.items() if self.verdicts[a] is verdict and self._base(item) is None]

    @property
    def wholes(self) -> list[SchemaObject]:
        """What came from the source, which does not have it any more, and is never dropped."""
        known = there(self.source)
        return [
            item
            for key, item in self._theirs.items()
            if item.kind in NEVER_DROPPED and key not in known and self._own_verdict(item) is Verdict.TAKEN_BACK
        ]

    def unknown_until_now(self) -> list[SchemaObject]:
        """What goes as part of an object that the source has, although nobody brought it."""
        return [
            item
            for a, item in self._surplus.items()
            if a in self.taken_back and memory_key(identity_of(self.target, item)) not in self.target.brought
        ]

    def is_unfinished_key(self, item: SchemaObject) -> bool:
        """Whether a run that was killed has built this index for a key of the source, and not made it the key's."""
        return item.kind == "index" and any((kind, *identity_of(self.target, item)[1:]) in self._ours for kind in KEYS)

    @cached_property
    def _theirs(self) -> Mapping[Identity, SchemaObject]:
        return there(self.target)

    @cached_property
    def _ours(self) -> frozenset[Identity]:
        return frozenset(by_identity(self.source))

    @cached_property
    def _excluded(self) -> frozenset[Identity]:
        return frozenset(identity_of(self.source, item) for item in self.source.excluded)

    @cached_property
    def _surplus(self) -> Mapping[Address, SchemaObject]:
        known = {*there(self.source), *self._excluded}
        return {
            item.address: item
            for key, item in self._theirs.items()
            if key not in known and item.kind not in NEVER_DROPPED and not self._is_on_extension(key, item)
        }

    def _is_on_extension(self, key: Identity, item: SchemaObject) -> bool:
        """Whether nobody brought it, and it is on a part of an extension, of which the target may have more."""
        if memory_key(key) in self.target.brought:
            return False
        if item.kind == "comment":
            return any(address.classid == PG_EXTENSION for address in item.depends_on)
        return item.table is not None and item.table not in self.target.relations

    @cached_property
    def _by_address(self) -> Mapping[Address, SchemaObject]:
        return {item.address: item for item in self._theirs.values()}

    @cached_property
    def _relations(self) -> Mapping[tuple[str, str], SchemaObject]:
        return {(item.schema, item.name): item for item in self._theirs.values() if item.kind in RELATIONS}

    @cached_property
    def dependents(self) -> dict[Address, list[Address]]:
        """What leans on each object of the target. A table that stays leaves a parent that the source lacks."""
        found: dict[Address, list[Address]] = {}
        for item in self.target.objects:
            stays = item.kind == "table" and item.address not in self._surplus
            for needed in item.depends_on:
                if not (stays and needed in self._surplus and self._by_address[needed].kind in TABLES):
                    found.setdefault(needed, []).append(item.address)
        return found

    def _verdict(self, item: SchemaObject) -> Verdict:
        base = self._base(item)
        if base is not None and base.address in self._surplus:
            return self._verdict(base)
        if (
            base is not None
            and item.kind in SAID_OF | PARTS_OF_RELATIONS
            and identity_of(self.target, base) in self._ours
        ):
            return Verdict.TAKEN_BACK
        if self.is_unfinished_key(item):
            return Verdict.TAKEN_BACK
        return self._own_verdict(item)

    def _own_verdict(self, item: SchemaObject) -> Verdict:
        schema = self.target.brought.get(memory_key(identity_of(self.target, item)))
        came = schema is not None and (not item.schema or self.source.schemas.get(schema) == item.schema)
        return Verdict.TAKEN_BACK if came else Verdict.OWN

    def _base(self, item: SchemaObject) -> SchemaObject | None:
        """What an object is said of or belongs to; None for one that stands by itself."""
        if item.kind in SAID_OF:
            exact = item.address._replace(aspect="")
            needed = (a for a in sorted(item.depends_on) if a.classid != PG_NAMESPACE)
            bases = (self._by_address.get(a) for a in (exact, exact._replace(subid=0), *needed))
            return next((base for base in bases if base is not None and base is not item), None)
        if item.kind == "sequence owner":
            return self._by_address.get(item.address._replace(aspect=""))
        if item.table is None or item.kind in RELATIONS:
            return None
        found = self._relations.get(item.table)
        surplus = found is not None and found.address in self._surplus
        return found if surplus or item.kind in PARTS_OF_RELATIONS else None

    def _has_to_stay(self, key: Identity, item: SchemaObject) -> bool:
        """Rows and what was left out of the migration."""
        return key in self._excluded or (item.kind == "table" and key in self._ours)
