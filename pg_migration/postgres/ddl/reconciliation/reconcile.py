"""Compare two catalogs and decide what to drop, keep and make in the target. Nothing here talks to a server."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pg_migration.postgres.catalog import (
    MATERIALIZED_ROWS,
    Address,
    Catalog,
    Column,
    Notice,
    Phase,
    SchemaObject,
    Table,
)
from pg_migration.postgres.catalog.draft import PG_CLASS
from pg_migration.postgres.catalog.identity import (
    Identity,
    by_identity,
    identity_of,
    is_same,
    is_same_expression,
    stored_expressions,
    there,
)
from pg_migration.postgres.catalog.ordering.graph import reachable
from pg_migration.postgres.catalog.schema_renaming import quote
from pg_migration.postgres.ddl.reconciliation.alter import WITH_OPTIONS, alterations, can_be_altered, leave_parents
from pg_migration.postgres.ddl.reconciliation.operator_lookup import describe_lookups
from pg_migration.postgres.ddl.reconciliation.surplus import KEYS, NEVER_DROPPED, TABLES, Surplus
from pg_migration.postgres.errors import StructureConflict

# Rows are stored as what these say: a difference can't be mended under the rows.
STORED_KINDS = frozenset({"type", "domain"})
ALTERABLE_KINDS = STORED_KINDS | WITH_OPTIONS
# Dropping one of these drops the columns that it is built into, in other tables too.
BUILT_IN_KINDS = STORED_KINDS | {"collation"}


@dataclass(frozen=True)
class Reconciliation:
    """What brings the target in line.

    ``drop`` are statements to run first, in order; ``dropped`` is what they drop, in that order. ``create`` are the
    source's objects that are not there yet or were dropped, in order, and alterations of those that are kept; ``keep``
    are those that are there and the same.
    ``notices`` name what the target can't have as it is in the source. ``surplus`` is what only the target has, with
    what becomes of it.
    """

    drop: tuple[str, ...]
    dropped: tuple[SchemaObject, ...]
    create: tuple[SchemaObject, ...]
    keep: tuple[SchemaObject, ...]
    surplus: Surplus
    notices: tuple[Notice, ...] = ()


def missing(source: Catalog, target: Catalog, phase: Phase | None = None) -> list[SchemaObject]:
    """What has to be made in the target as it is now: what it lacks or has otherwise, and what is to be altered.

    Args:
        phase: look at the objects of one phase only.
    """
    theirs = there(target)
    wanted = _wanted(source, target)
    found = [item for own in wanted for item in _to_make(source, target, own, theirs.get(identity_of(source, own)))]
    made = _without_copies(source, found)
    return [item for item in made if can_be_made(item, target) and phase in (None, item.phase)]


def _without_copies(source: Catalog, items: Sequence[SchemaObject]) -> list[SchemaObject]:
    """Less the checks that partitions which stay get from their parents."""
    late = {(item.table, item.name) for item in items if item.kind == "check" and item.phase is Phase.POST_DATA}

    def is_copy(item: SchemaObject) -> bool:
        table = source.tables_by_name.get(item.table) if item.table and (item.table, item.name) in late else None
        return (
            item.kind == "check"
            and table is not None
            and table.is_partition
            and any((parent, item.name) in late for parent in table.parents)
        )

    return [item for item in items if not is_copy(item)]


def _to_make(
    source: Catalog, target: Catalog, ours: SchemaObject, theirs: SchemaObject | None
) -> Sequence[SchemaObject]:
    """What makes one object of the source be in the target, where something of its name may be."""
    if theirs is None:
        return [ours]
    if ours.kind == "table":
        return alterations(source, target, ours, theirs)
    if is_same(source, target, ours, theirs):
        return []
    if ours.kind in ALTERABLE_KINDS and can_be_altered(ours, theirs):
        return alterations(source, target, ours, theirs)
    return [ours]


def can_be_made(item: SchemaObject, target: Catalog) -> bool:
    """Whether the target's server has what an object asks of it; so far that is a compression method."""
    return item.kind != "compression" or item.name.rpartition(" ")[2] in target.compression_methods


def reconcile(source: Catalog, target: Catalog, drop_existing: bool = False) -> Reconciliation:
    """Decide what to do to a target that may hold anything, from nothing to a former copy.

    A table whose columns are the same is kept, with its rows, and so is a type that can be altered. Whatever else
    differs is replaced, together with what leans on it in the target. What the source took back goes (`Surplus`).

    Args:
        source: the catalog to copy.
        target: the target's, discovered in the same schemas under their names there.
        drop_existing: drop whatever the source has too, and make it anew.

    Raises:
        StructureConflict: a table that is there has other columns, or uses a type that is defined otherwise; the
            message lists every difference. With ``drop_existing`` only where tables would go that the source lacks.
    """
    theirs = there(target)
    surplus = Surplus(source, target)
    if drop_existing:
        doomed = _everything_in_both(source, target)
    else:
        _check_same_columns(source, target)
        doomed = _replaced(source, target)
    if drop_existing or doomed or any(identity_of(source, item) not in theirs for item in source.objects):
        doomed |= _default_privileges(target)
    dependents = surplus.dependents
    doomed = reachable(doomed | surplus.taken_back, dependents)
    doomed = reachable(doomed | _shells(target, doomed), dependents)
    doomed = reachable(doomed | _partitioned_indexes(target, doomed), dependents)
    doomed |= _column_privileges(target, doomed)
    if drop_existing:
        _check_no_other_table(source, target, doomed - surplus.taken_back)
    else:
        _check_no_table(target, doomed - surplus.taken_back)
    create: list[SchemaObject] = []
    keep: list[SchemaObject] = []
    for item in _wanted(source, target, doomed):
        found = theirs.get(identity_of(source, item))
        if found is not None and found.address in doomed:
            found = None
        made = _to_make(source, target, item, found)
        create += made
        if item not in made:
            keep.append(item)
    create = sorted(_without_copies(source, create), key=lambda item: item.phase)
    return Reconciliation(
        drop=(*_leaving(source, target, doomed), *_drops(target, doomed, surplus, drop_existing)),
        dropped=tuple(item for item in (*target.parts, *reversed(target.objects)) if item.address in doomed),
        create=tuple(item for item in create if can_be_made(item, target)),
        keep=tuple(keep),
        surplus=surplus,
        notices=tuple(_impossible(item) for item in create if not can_be_made(item, target)),
    )


def _wanted(source: Catalog, target: Catalog, doomed: Collection[Address] = ()) -> Sequence[SchemaObject]:
    """The source's objects, and of tables that are kept also the parts that their CREATE TABLE would have made.

    Rows that are there may violate a check which the source has now: it is made after they were replaced, unless the
    table becomes a partition, which has to have its parent's checks by then.
    """
    theirs = there(target)
    kept = {
        name
        for name in map(source.target_name, source.tables_by_name)
        if (table := target.tables_by_name.get(name)) and Address(PG_CLASS, table.oid) not in doomed
    }
    attached = {
        source.target_name(item.table)
        for item in source.objects
        if item.kind == "partition"
        and item.table
        and ((found := theirs.get(identity_of(source, item))) is None or found.address in doomed)
    }

    def timed(item: SchemaObject) -> SchemaObject:
        table = item.table and source.target_name(item.table)
        if item.kind == "check" and item.phase is Phase.PRE_DATA and table in kept - attached:
            return replace(item, phase=Phase.POST_DATA)
        return item

    parts = [part for part in source.parts if part.table and source.target_name(part.table) in kept]
    # A partition needs its parent's checks before it is attached.
    checks = [part for part in parts if part.kind == "check"]
    others = [part for part in parts if part.kind != "check"]
    return sorted(map(timed, [*checks, *source.objects, *others]), key=lambda item: item.phase)


def _everything_in_both(source: Catalog, target: Catalog) -> set[Address]:
    """What other tables may be built on, and functions, only where it differs."""
    ours = by_identity(source)
    return {
        item.address
        for item in target.objects
        if item.kind not in NEVER_DROPPED
        and (found := ours.get(identity_of(target, item))) is not None
        and _is_dropped_by_name(item)
        and not (item.kind in BUILT_IN_KINDS | {"function"} and is_same(source, target, found, item))
    }


def _default_privileges(target: Catalog) -> set[Address]:
    """Those of the role that connects would add grants to whatever is made now; they are made again after all else."""
    kind = "default privileges"
    return {item.address for item in target.objects if item.kind == kind and target.role in item.becomes}


def _column_privileges(target: Catalog, doomed: set[Address]) -> set[Address]:
    """PostgreSQL docs, REVOKE: what is revoked on a table is revoked on its columns as well."""
    found = {item.address for item in target.objects if item.kind == "privileges" and item.address.subid}
    return {address for address in found if address._replace(subid=0) in doomed}


def _shells(target: Catalog, wholes: set[Address]) -> set[Address]:
    """The shells that objects of the target were made from: the source's need not fit into the same ones."""
    shells = {item.address for item in target.objects if item.kind == "shell"}
    return {address for address in shells if address._replace(aspect="") in wholes}


def _attached(target: Catalog, doomed: Collection[Address]) -> Mapping[Address, Address]:
    """The indexes and keys of partitions that stay partitions, with those of the tables above that hold them.

    PostgreSQL docs, ALTER INDEX ... ATTACH PARTITION: an attached index can't be dropped by itself, and goes with the
    other one.
    """
    whole = {item.address for item in target.objects if item.kind == "index" or item.kind in KEYS}
    leaving = {item.table for item in target.objects if item.kind == "partition" and item.address in doomed}
    found: dict[Address, Address] = {}
    for item in target.objects:
        if item.kind == "index attachment" and item.table not in leaving:
            index = item.address._replace(aspect="")
            found[index] = next(above for above in item.depends_on if above in whole and above != index)
    return found


def _partitioned_indexes(target: Catalog, doomed: Collection[Address]) -> set[Address]:
    """Those that have to go because one of a partition does."""
    above = _attached(target, doomed)
    gone = {item.table for item in target.objects if item.kind == "table" and item.address in doomed}
    going = {item.address for item in target.objects if item.address in doomed and item.table not in gone}
    return reachable({above[a] for a in going if a in above}, {a: [b] for a, b in above.items()})


def _is_dropped_by_name(item: SchemaObject) -> bool:
    return item.drop.startswith("DROP ")


def _replaced(source: Catalog, target: Catalog) -> set[Address]:
    """What is there, differs, and can't be replaced without being dropped."""
    theirs = by_identity(target)
    return {
        found.address
        for key, item in by_identity(source).items()
        if (found := theirs.get(key)) is not None
        and item.kind not in NEVER_DROPPED | {"table"}
        and not is_same(source, target, item, found)
        and not _can_replace(item, found)
        and not (item.kind in ALTERABLE_KINDS and can_be_altered(item, found))
    }


def _can_replace(ours: SchemaObject, theirs: SchemaObject) -> bool:
    """CREATE OR REPLACE FUNCTION takes a new body, but neither other arguments nor another result."""
    if ours.kind == "function":
        heads = [item.statements[0].partition("\n LANGUAGE")[0].replace('"', "") for item in (ours, theirs)]
        return heads[0] == heads[1]
    return ours.replaceable


def _check_no_table(target: Catalog, doomed: set[Address]) -> None:
    tables = [item for item in target.objects if item.kind == "table" and item.address in doomed]
    if tables:
        named = ", ".join(f"{item.schema}.{item.name}" for item in tables)
        raise StructureConflict(
            f"something that differs from the source is built into tables of the target: {named}. Nothing was changed. "
            f"Set drop_existing_tables: true to drop and recreate them."
        )


def _check_no_other_table(source: Catalog, target: Catalog, doomed: set[Address]) -> None:
    """Rows that the source can't give back stay, unless they are those of a partition."""
    ours = {source.target_name(table.key) for table in source.tables}
    others = [t for t in target.tables if t.key not in ours and not t.is_partition]
    lost = {item.table for item in target.objects if item.kind == "table" and item.address in doomed}
    if named := ", ".join(".".join(table.key) for table in others if table.key in lost):
        raise StructureConflict(
            f"drop_existing_tables would drop tables of the target that the source does not have, with their rows: "
            f"{named}. They are built on something that has to be dropped: a type that differs, or a table that they "
            f"inherit from. Nothing was changed. Change them, or move them out of the way, and start again."
        )


def _leaving(source: Catalog, target: Catalog, doomed: set[Address]) -> Iterator[str]:
    """Tables that stay leave the parents that they don't have in the source, which may be about to go."""
    for table in source.tables:
        found = target.tables_by_name.get(source.target_name(table.key))
        if found is not None and Address(PG_CLASS, found.oid) not in doomed:
            yield from leave_parents(table, found, f"{quote(found.schema)}.{quote(found.name)}")


def _drops(target: Catalog, doomed: set[Address], surplus: Surplus, cascade: bool) -> Iterator[str]:
    """Statements, dependents first; nothing for what goes with a table or a partitioned table's index anyway."""
    gone = {item.table for item in target.objects if item.kind in TABLES and item.address in doomed}
    attached = _attached(target, doomed)
    # What a partition takes along when it leaves can be dropped by itself then, and not before.
    released = _attached(target, ()).keys() - attached.keys()
    late = [item for item in target.objects if item.address in released]
    early = [item for item in target.objects if item.address not in released]
    for item in (*target.parts, *reversed(early), *late):
        if item.address not in doomed or not item.drop or item.address in attached:
            continue
        # A foreign key goes before the key that it leans on, its table only after it.
        if item.table in gone and item.kind not in TABLES | {"foreign key"}:
            continue
        # Rows that are to come again need not go first.
        if item.kind == MATERIALIZED_ROWS and item.address not in surplus.taken_back:
            continue
        with_users = cascade and _is_dropped_by_name(item) and item.kind not in BUILT_IN_KINDS
        yield f"{item.drop} CASCADE" if with_users and not item.drop.endswith(" CASCADE") else item.drop


def _impossible(item: SchemaObject) -> Notice:
    return Notice(
        item.kind,
        item.identity.removeprefix(f"{item.kind} "),
        "the target's server was built without this method; its default is used instead",
    )


def _check_same_columns(source: Catalog, target: Catalog) -> None:
    differences = []
    theirs = by_identity(target)
    for key, item in by_identity(source).items():
        if item.kind == "table" and (found := theirs.get(key)) is not None:
            differences += [f"{key[1]}.{item.name}: {text}" for text in table_differences(source, target, item, found)]
    differences += _type_differences(source, target)
    differences += _meaning_differences(source, target)
    if differences:
        listed = "\n".join(f"  - {difference}" for difference in differences)
        raise StructureConflict(
            f"the target already has tables that differ from the source, and nothing was changed:\n{listed}\nSet "
            f"drop_existing_tables: true to drop and recreate them, or remove them from the target yourself."
        )


def _meaning_differences(source: Catalog, target: Catalog) -> Iterator[str]:
    """Generated columns and partition keys that find other operators, whatever their text says."""
    theirs = by_identity(target)
    for key, item in by_identity(source).items():
        if item.kind == "table" and (found := theirs.get(key)) is not None and item.lookups != found.lookups:
            yield f"{key[1]}.{item.name}: {describe_lookups(item.lookups, found.lookups)}"


def _type_differences(source: Catalog, target: Catalog) -> Iterator[str]:
    ours: Mapping[Identity, SchemaObject] = by_identity(source)
    users = _used_types(target)
    for key, found in by_identity(target).items():
        item = ours.get(key)
        if item is None or item.kind not in STORED_KINDS or is_same(source, target, item, found):
            continue
        if can_be_altered(item, found):
            continue
        if tables := users.get(found.address):
            yield f"{item.kind} {key[1]}.{item.name}, used by {', '.join(tables)}, is defined otherwise"


def _used_types(target: Catalog) -> Mapping[Address, Sequence[str]]:
    """For every type, the tables of the target that lean on it."""
    users: dict[Address, list[str]] = {}
    edges = {item.address: item.depends_on for item in target.objects}
    for item in target.objects:
        if item.kind == "table":
            for address in reachable([item.address], edges):
                users.setdefault(address, []).append(f"{item.schema}.{item.name}")
    return users


def table_differences(source: Catalog, target: Catalog, ours: SchemaObject, theirs: SchemaObject) -> Iterator[str]:
    """What differs between a table of either catalog so that rows of the one do not fit into the other."""
    mine, found = source.tables_by_name[ours.schema, ours.name], target.tables_by_name[theirs.schema, theirs.name]
    other = _other_expressions(source, target, ours, theirs)
    if mine.kind != found.kind:
        yield f"is {_table_kind(mine)} in the source and {_table_kind(found)} in the target"
    elif "partition key" in {kind for kind, *_ in other}:
        yield f"is partitioned by {mine.partition_key} in the source and by {found.partition_key} in the target"
    yield from _column_differences(mine, found, {name for kind, *_, name in other if kind == "generated column"})


def _other_expressions(
    source: Catalog, target: Catalog, ours: SchemaObject, theirs: SchemaObject
) -> Collection[Identity]:
    """The expressions that both tables have, and not the same."""
    if is_same(source, target, ours, theirs):
        return ()
    found = stored_expressions(target, target.tables_by_name[theirs.schema, theirs.name])
    return [
        key
        for key, text in stored_expressions(source, source.tables_by_name[ours.schema, ours.name]).items()
        if key in found and not is_same_expression(target, key, text, found[key])
    ]


def _column_differences(source: Table, target: Table, other_expressions: Collection[str]) -> Iterator[str]:
    ours, theirs = source.columns, target.columns
    known = {column.name: column for column in theirs}
    for column in ours:
        found = known.get(column.name)
        if found is None:
            yield f"column {column.name} is missing in the target"
            continue
        for said, mine, its in _column_properties(column, found, column.name in other_expressions):
            if mine != its:
                yield f"column {column.name}: {said} is {mine} in the source and {its} in the target"
    names = {column.name for column in ours}
    for column in theirs:
        if column.name not in names:
            yield f"column {column.name} is in the target only"
    if names == set(known) and [column.name for column in ours] != [column.name for column in theirs]:
        yield "the columns are in another order"


def _column_properties(source: Column, target: Column, other_expression: bool) -> Iterator[tuple[str, str, str]]:
    yield "type", source.ddl_type.replace('"', ""), target.ddl_type.replace('"', "")
    yield "collation", source.collation or "the type's", target.collation or "the type's"
    yield "generation", _GENERATED[source.generated], _GENERATED[target.generated]
    if other_expression:
        yield "expression", source.default or "", target.default or ""


_GENERATED = {"": "none", "s": "STORED", "v": "VIRTUAL"}


def _table_kind(table: Table) -> str:
    return "a partitioned table" if table.kind == "p" else "an ordinary table"
