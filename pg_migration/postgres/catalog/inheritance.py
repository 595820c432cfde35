"""Give inheritance children the column order they have.

CREATE TABLE ... INHERITS puts the parents' columns first. A child that was made alone and adopted later, or whose
parent got a column later, has another order. The first is made alone and adopted again (ALTER TABLE ... INHERIT), which
marks every column as the child's own. For the second, the tables of the family are made without columns, and each
column is then added where it was declared, in an order that puts every table's columns where they belong: a column
added to a parent lands at the end of each child that lacks it, and is merged into each that has it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pg_migration.postgres.catalog.graph import topological_order
from pg_migration.postgres.catalog.reading import Row

Addition = tuple[int, str]
"""A column declared in a table: the table's OID and the column's name."""


@dataclass(frozen=True)
class Family:
    """Tables that inherit from each other, parents first, and the order in which their columns are added."""

    members: Sequence[int]
    additions: Sequence[Addition]


@dataclass(frozen=True)
class Plan:
    """What has to be done for column orders that CREATE TABLE ... INHERITS does not give.

    ``adopted`` are tables to make alone and put under their parents afterwards. ``families`` are to be made column by
    column. ``hopeless`` are tables whose order no sequence of ALTER TABLE gives; theirs will be the usual one.
    """

    adopted: frozenset[int]
    families: Sequence[Family]
    hopeless: Sequence[int]


def plan(
    parents: Mapping[int, Sequence[int]],
    columns: Callable[[int], Sequence[Row]],
    is_all_its_own: Callable[[int], bool],
) -> Plan:
    """Compare each child's column order with what CREATE TABLE ... INHERITS would give.

    Args:
        parents: for each table (partitions left out) the tables that it inherits from; all of them are keys too.
        columns: the columns of a table, in their order.
        is_all_its_own: whether a table declares every column and constraint that it also inherits.
    """
    adopted: set[int] = set()
    families, hopeless = [], []
    for members in _components(parents):
        wrong = {oid for oid in members if parents[oid] and not _is_natural(oid, parents[oid], columns)}
        adopted |= {oid for oid in wrong if is_all_its_own(oid)}
        if not wrong - adopted:
            continue
        additions = _additions(members, parents, columns)
        if additions is None:
            hopeless += sorted(wrong - adopted)
        else:
            adopted -= wrong
            families.append(Family(members, additions))
    return Plan(frozenset(adopted), families, hopeless)


def _names(columns: Sequence[Row]) -> list[str]:
    return [column["name"] for column in columns]


def _components(parents: Mapping[int, Sequence[int]]) -> list[list[int]]:
    """Groups of related tables, each with parents before children."""
    group_of = {oid: oid for oid in parents}

    def leader(oid: int) -> int:
        while group_of[oid] != oid:
            group_of[oid] = oid = group_of[group_of[oid]]
        return oid

    for child, above in parents.items():
        for parent in above:
            group_of[leader(child)] = leader(parent)
    groups: dict[int, list[int]] = {}
    for oid in topological_order(parents, lambda oid: (oid,)):
        groups.setdefault(leader(oid), []).append(oid)
    return [members for members in groups.values() if len(members) > 1]


def _is_natural(oid: int, parents: Sequence[int], columns: Callable[[int], Sequence[Row]]) -> bool:
    inherited = [name for parent in parents for name in _names(columns(parent))]
    own = [column["name"] for column in columns(oid) if column["is_local"]]
    return list(dict.fromkeys(inherited + own)) == _names(columns(oid))


def _additions(
    members: Collection[int], parents: Mapping[int, Sequence[int]], columns: Callable[[int], Sequence[Row]]
) -> list[Addition] | None:
    """An order of additions that gives every table its column order; None where there is none."""
    origin: dict[Addition, Addition] = {}
    needs: dict[Addition, set[Addition]] = {}
    for oid in members:
        for column in columns(oid):
            place = (oid, column["name"])
            above = [(parent, column["name"]) for parent in parents[oid] if (parent, column["name"]) in origin]
            # What makes the column appear here: its own declaration, or else the one that the first parent has it from.
            origin[place] = place if column["is_local"] or not above else origin[above[0]]
            needs.setdefault(origin[place], set())
            for inherited in above:
                # Whatever else brings it is merged into the column that is there already, so it has to come later.
                if origin[inherited] != origin[place]:
                    needs.setdefault(origin[inherited], set()).add(origin[place])
        names = _names(columns(oid))
        for before, after in pairwise(names):
            if origin[oid, before] != origin[oid, after]:
                needs[origin[oid, after]].add(origin[oid, before])
    position = {oid: number for number, oid in enumerate(members)}
    try:
        return topological_order(needs, lambda addition: (position[addition[0]],))
    except ValueError:
        return None
