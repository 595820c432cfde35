"""From single objects to one ordered whole: dependencies, exclusions, phases."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pg_migration.postgres.catalog.draft import PG_CLASS, PG_DATABASE, PG_EXTENSION, PG_NAMESPACE, PG_REWRITE, Draft
from pg_migration.postgres.catalog.model import Address, Lookup, Phase
from pg_migration.postgres.catalog.ordering.graph import cycles, reachable, topological_order
from pg_migration.postgres.catalog.ordering.ranks import RANKS
from pg_migration.postgres.catalog.reading.rows import DependencyRow, ExtensionMemberRow

AUTO, INTERNAL, NORMAL = "a", "i", "n"
PARTITION = ("P", "S")
STRUCTURE_PHASES = (Phase.PRE_DATA, Phase.KEYS, Phase.FOREIGN_KEYS)


@dataclass
class Assembly:
    """Drafts and what each leans on. ``edges`` holds, for each address, the addresses that have to come first.

    ``outside`` holds what is leant on but neither migrated nor part of an extension, and by whom; ``needed_outside``
    is what something leans on that is no draft itself. ``lookups`` holds what the expressions of a draft look up, under
    the names of the discovered database.
    """

    drafts: dict[Address, Draft]
    edges: dict[Address, set[Address]] = field(default_factory=dict)
    outside: dict[Address, set[Address]] = field(default_factory=dict)
    lookups: dict[Address, frozenset[Lookup]] = field(default_factory=dict)
    needed_outside: set[Address] = field(default_factory=set)

    def remove(self, addresses: Iterable[Address]) -> None:
        """Take drafts out, and every edge to them."""
        gone = set(addresses)
        for address in gone:
            self.drafts.pop(address, None)
            self.edges.pop(address, None)
        for needed in self.edges.values():
            needed -= gone

    def dependents(self) -> dict[Address, set[Address]]:
        """The edges the other way round."""
        found: dict[Address, set[Address]] = {address: set() for address in self.drafts}
        for address, needed in self.edges.items():
            for other in needed:
                found[other].add(address)
        return found


def assemble(
    drafts: Sequence[Draft],
    dependencies: Sequence[DependencyRow],
    members: Sequence[ExtensionMemberRow],
    lookups: Mapping[Address, frozenset[Lookup]],
) -> Assembly:
    """Connect drafts as pg_depend does.

    A pg_depend row speaks of catalog rows that may be no object of ours: a row type, the array type of an enum, the
    index under a constraint. What such a row belongs to internally (deptype i) is followed to an object that is.
    """
    result = Assembly({draft.address: draft for draft in drafts if draft.base is None})
    resolve = _Resolver(result.drafts, dependencies, members)
    for draft in drafts:
        if draft.base is None:
            continue
        # An extension's members are its own, but somebody may have granted or revoked privileges on them, or said
        # something of a table or view among them.
        of_member = draft.kind in ("privileges", "security label") or (
            draft.kind == "comment" and draft.base.classid == PG_CLASS
        )
        find = resolve.anything_of if of_member else resolve.draft_of
        if (base := find(draft.base)) is not None:
            said_of = result.drafts[base]
            draft.schema, draft.relation = said_of.schema, said_of.relation or _relation_of(said_of)
            draft.requires.add(base)
            result.drafts[draft.address] = draft
    result.edges = {address: set() for address in result.drafts}
    # The copies that partitions hold of a partitioned table's constraints are no objects of ours.
    copies = {Address(row["classid"], row["objid"]) for row in dependencies if row["deptype"] in PARTITION}
    for row in dependencies:
        dependent = resolve.draft_of(Address(row["classid"], row["objid"], row["objsubid"]))
        needed = resolve.anything_of(Address(row["refclassid"], row["refobjid"], row["refobjsubid"]))
        if dependent is None:
            copy = Address(row["classid"], row["objid"]) in copies
            if needed is not None and row["deptype"] == NORMAL and not copy:
                result.needed_outside.add(needed)
            continue
        if needed is None:
            if not resolve.is_member(Address(row["refclassid"], row["refobjid"])) and row["deptype"] == NORMAL:
                result.outside.setdefault(Address(row["refclassid"], row["refobjid"]), set()).add(dependent)
            continue
        if dependent == needed:
            # A view that selects from itself: the column says that this is not just its rule that depends on it.
            if row["classid"] == PG_REWRITE and row["deptype"] == NORMAL and row["refobjsubid"] > 0:
                result.edges[dependent].add(dependent)
            continue
        # OWNED BY says this in a statement of its own; the table's default needs the sequence, the other way round.
        if row["deptype"] == AUTO and result.drafts[dependent].kind == "sequence":
            continue
        result.edges[dependent].add(needed)
    schemas = {draft.name: address for address, draft in result.drafts.items() if address.classid == PG_NAMESPACE}
    for address, draft in result.drafts.items():
        implied = set(draft.requires)
        if draft.relation:
            implied.add(Address(PG_CLASS, draft.relation))
        if draft.schema in schemas:
            implied.add(schemas[draft.schema])
        known = {found for needed in implied if (found := resolve.anything_of(needed)) is not None}
        result.edges[address] |= known - {address}
    for address, looked_up in lookups.items():
        if (owner := resolve.draft_of(address)) is not None:
            result.lookups[owner] = result.lookups.get(owner, frozenset()) | looked_up
    _order_refreshes(result)
    return result


def _order_refreshes(assembly: Assembly) -> None:
    """A materialized view is filled after those that it reads, directly or through views.

    One that reads another which holds no rows was filled before that one was emptied, and can't be filled again.
    """
    views = [address for address, draft in assembly.drafts.items() if draft.kind == "materialized view"]
    rows_of = {address: address._replace(aspect="rows") for address in views}
    for address in views:
        rows = rows_of[address]
        if rows not in assembly.drafts:
            continue
        for other in reachable([address], assembly.edges) - {address}:
            if other in rows_of:
                assembly.edges[rows].add(rows_of[other])
    while unfilled := [
        rows for rows in rows_of.values() if rows in assembly.edges and assembly.edges[rows] - set(assembly.drafts)
    ]:
        for rows in unfilled:
            del assembly.drafts[rows], assembly.edges[rows]


def _relation_of(draft: Draft) -> int:
    return draft.address.objid if draft.kind in ("view", "materialized view") else 0


def drop_unused(assembly: Assembly) -> list[Draft]:
    """Take out what is only made where something needs it and nothing does; what was taken out."""
    gone: list[Draft] = []
    while True:
        dependents = assembly.dependents()
        unused = [
            draft
            for address, draft in assembly.drafts.items()
            if draft.only_if_used and not any(other.aspect == "" for other in dependents[address])
        ]
        if not unused:
            return gone
        gone += unused
        assembly.remove(reachable([draft.address for draft in unused], dependents))


class _Resolver:
    """From any catalog address to the draft that makes it."""

    def __init__(
        self,
        drafts: Mapping[Address, Draft],
        dependencies: Sequence[DependencyRow],
        members: Sequence[ExtensionMemberRow],
    ) -> None:
        self._drafts = drafts
        self._carriers = {
            row: address
            for address, draft in drafts.items()
            for row in (*draft.catalog_rows, *(part.address for part in draft.parts))
        }
        self._owners = {
            Address(row["classid"], row["objid"]): Address(row["refclassid"], row["refobjid"])
            for row in dependencies
            if row["deptype"] == INTERNAL and row["objsubid"] == 0
        }
        self._extensions = {
            Address(row["classid"], row["objid"]): Address(PG_EXTENSION, row["extension"]) for row in members
        }

    def draft_of(self, address: Address) -> Address | None:
        """The draft that this is, or is part of."""
        seen = set()
        current: Address | None = address
        while current is not None and current not in seen:
            seen.add(current)
            whole = current._replace(subid=0) if current.subid else current
            for candidate in (current,) if whole is current else (current, whole):
                if candidate in self._drafts:
                    return candidate
                if candidate in self._carriers:
                    return self._carriers[candidate]
            current = self._owners.get(whole)
        return None

    def is_member(self, address: Address) -> bool:
        """Whether it belongs to an extension."""
        return address in self._extensions

    def anything_of(self, address: Address) -> Address | None:
        """The same, or the extension that brings it."""
        found = self.draft_of(address)
        if found is not None:
            return found
        current: Address | None = address._replace(subid=0, aspect="")
        seen = set()
        while current is not None and current not in seen:
            seen.add(current)
            if current in self._extensions:
                return self.draft_of(self._extensions[current])
            current = self._owners.get(current)
        return None


def break_cycles(assembly: Assembly) -> None:
    """Bring about that there is an order.

    Where objects lean on each other in a circle, one of them is made in two steps, if it can be: an empty shell that
    the others can refer to, then the real thing. Types go first, since the circle of a type and its input function has
    no other way out. What is left after that has no order that the catalogs could tell: it is made in the usual order
    of kinds.
    """
    while groups := _circles(assembly):
        for group in groups:
            first = min(
                group, key=lambda address: (not assembly.drafts[address].shell, _rank(assembly, address), address)
            )
            if assembly.drafts[first].shell:
                _make_in_two_steps(assembly, first, set(group))
            else:
                assembly.edges[first] -= set(group)


def _circles(assembly: Assembly) -> list[list[Address]]:
    alone = [[address] for address, needed in assembly.edges.items() if address in needed]
    return cycles(assembly.edges) + alone


def _make_in_two_steps(assembly: Assembly, address: Address, group: set[Address]) -> None:
    """Others of a circle lean on an empty shell instead."""
    _lean_on_shell(assembly, address, group)
    _add_shell(assembly, address, group)


def _lean_on_shell(assembly: Assembly, address: Address, users: Iterable[Address]) -> None:
    for other in users:
        if address in assembly.edges[other]:
            assembly.edges[other].discard(address)
            assembly.edges[other].add(address._replace(aspect="shell"))


def _add_shell(assembly: Assembly, address: Address, without: set[Address]) -> None:
    """Make an empty shell before the real thing, which needs less than that."""
    whole = assembly.drafts[address]
    shell = address._replace(aspect="shell")
    assembly.drafts[shell] = replace(
        whole,
        address=shell,
        kind="shell",
        name=f"{whole.kind} {whole.name}",
        statements=(whole.shell,),
        drop=whole.drop if whole.kind == "view" else "",
        shell="",
    )
    assembly.edges[shell] = assembly.edges[address] - without - {shell}
    assembly.edges[address].add(shell)
    if whole.kind == "view":
        # The way back leads through the shell as well: what leans on the view can be dropped once that reads nothing.
        whole.drop = whole.shell
    whole.shell = ""


def put_tables_first(assembly: Assembly) -> None:
    """Bring about that no table has to wait for a key, which is made when the rows are there.

    A view that groups by a key needs that key, and a table may have a column of the view's row type, or call a function
    that reads the view: they get an empty shell of it, as they do from PostgreSQL's pg_dump. Where something without a
    shell stands between them, as a function that groups by the key itself, the key is made before the rows.
    """
    late = _late(assembly)
    early = _needed_by_tables(assembly)
    views = {address for address in early & late if assembly.drafts[address].shell}
    for view in views:
        # Its columns may be of the row type of a materialized view, or of another such view.
        needless = {address for address in late if assembly.drafts[address].kind != "materialized view"}
        of_views = {other._replace(aspect="shell") for other in assembly.edges[view] & views}
        _lean_on_shell(assembly, view, early - views)
        _add_shell(assembly, view, needless)
        assembly.edges[view._replace(aspect="shell")] |= of_views
    for address in _needed_by_tables(assembly):
        if assembly.drafts[address].phase in _WITH_TABLES:
            assembly.drafts[address].phase = Phase.PRE_DATA


def _late(assembly: Assembly) -> set[Address]:
    """Keys, indexes and foreign keys, and all that leans on them."""
    made_later = (address for address, draft in assembly.drafts.items() if draft.phase in _WITH_TABLES)
    return reachable(made_later, assembly.dependents())


def _needed_by_tables(assembly: Assembly) -> set[Address]:
    return reachable((a for a, draft in assembly.drafts.items() if draft.kind == "table"), assembly.edges)


def make_views_early(assembly: Assembly) -> None:
    """Have views and materialized views made before the rows, some of which name them.

    A view that needs a key, which comes after the rows, is an empty shell until then.
    """
    views = [a for a, draft in assembly.drafts.items() if draft.kind in _VIEWS and draft.phase is Phase.POST_DATA]
    late = _late(assembly)
    for address in views:
        if address not in late:
            assembly.drafts[address].phase = Phase.PRE_DATA
        elif assembly.drafts[address].shell:
            _add_shell(assembly, address, late)
            assembly.drafts[address._replace(aspect="shell")].phase = Phase.PRE_DATA


_VIEWS = ("view", "materialized view", "shell")
_WITH_TABLES = (Phase.KEYS, Phase.FOREIGN_KEYS)


def _rank(assembly: Assembly, address: Address) -> int:
    kind = assembly.drafts[address].kind
    return RANKS.get(f"{kind} of schema", RANKS[kind]) if address.classid == PG_NAMESPACE else RANKS[kind]


def assign_phases(assembly: Assembly) -> dict[Address, Phase]:
    """The phase of every draft: its kind's, unless something that it needs comes later.

    Views wait until after the data, except those that a table, a key or a foreign key needs.
    """
    structure = {
        address
        for address, draft in assembly.drafts.items()
        if draft.phase in STRUCTURE_PHASES and (draft.relation or draft.kind in ("type", "domain", "sequence"))
    }
    needed_early = reachable(structure, assembly.edges)
    phases: dict[Address, Phase] = {}
    for address in topological_order(assembly.edges, lambda _: ()):
        draft = assembly.drafts[address]
        own = draft.phase
        if own == Phase.POST_DATA and draft.kind in _VIEWS and address in needed_early:
            own = Phase.PRE_DATA
        latest = max((phases[needed] for needed in assembly.edges[address]), default=own)
        # Only what the load engine builds per table may run in the phases between.
        phases[address] = (
            own if latest <= own else latest if own in (Phase.KEYS, Phase.FOREIGN_KEYS) else Phase.POST_DATA
        )
    return phases


def in_order(assembly: Assembly, phases: Mapping[Address, Phase]) -> list[Address]:
    """One order for everything, phase by phase; within that by kind and name."""

    def rank(address: Address) -> tuple[object, ...]:
        draft = assembly.drafts[address]
        place = (
            address.objid if address.classid == PG_DATABASE else 0
        )  # settings keep the order in which they were made
        return phases[address], _rank(assembly, address), draft.schema, place, draft.name, address

    return topological_order(assembly.edges, rank)
