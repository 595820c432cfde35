"""What can be changed about a table or a type that stays where it is, with all that is built on it.

PostgreSQL docs: ALTER TABLE, ALTER TYPE, ALTER DOMAIN. What the rows that are there might violate is said after they
were replaced; whatever lets more in is said before.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile

from pg_migration.postgres.catalog import Address, Catalog, Column, Phase, SchemaObject, Table
from pg_migration.postgres.catalog.identity import by_identity, identity_of
from pg_migration.postgres.catalog.schema_renaming import quote

COMPRESSION_SINCE = 140000
ACCESS_METHOD_SINCE = 150000
_CONSTRAINT = re.compile(r'CONSTRAINT ("(?:[^"]|"")*")')
_REPLICA_IDENTITY = {"d": "DEFAULT", "f": "FULL", "n": "NOTHING", "i": "DEFAULT"}

_OPTION = re.compile(r'("(?:[^"]|"")*"|VERSION) (.*)', re.DOTALL)

# Kinds whose elements are options, which can all be changed.
WITH_OPTIONS = frozenset({"publication", "foreign-data wrapper", "server", "user mapping", "foreign table"})

Options = tuple[tuple[str, str], ...]

Alteration = tuple[Phase, str]
"""When to run a statement, and the statement."""


def alterations(source: Catalog, target: Catalog, ours: SchemaObject, theirs: SchemaObject) -> list[SchemaObject]:
    """What makes an object of the target like the source's, without dropping it; empty where they are alike.

    Each is an object of kind ``settings``, so that one which fails costs itself alone: what is built on the table or
    type is there, whatever its settings. To be asked of tables, and of types for which `can_be_altered`.
    """
    if ours.kind == "table":
        tables = source.tables_by_name[ours.schema, ours.name], target.tables_by_name[theirs.schema, theirs.name]
        found = list(_table(*tables, quoted_name(source, ours), target.version))
        groups = [[text for phase, text in found if phase is wanted] for wanted in (Phase.PRE_DATA, Phase.POST_DATA)]
        return [
            _settings(ours, phase, number, statements)
            for number, (phase, statements) in enumerate(zip((Phase.PRE_DATA, Phase.POST_DATA), groups, strict=True))
            if statements
        ]
    if ours.elements == theirs.elements:
        return []
    if ours.kind in WITH_OPTIONS:
        return [_settings(ours, ours.phase, 0, _options_of(ours, theirs))]
    # Each by itself: a label can't be added and used in one transaction.
    return [_settings(ours, phase, number, [text]) for number, (phase, text) in enumerate(_type(ours, theirs) or ())]


def can_be_altered(ours: SchemaObject, theirs: SchemaObject) -> bool:
    """Whether a type of the target, or what has options, can be made like the source's where it is, without loss."""
    # With the same elements it is something else that differs: what they find.
    return (
        ours.head == theirs.head
        and ours.elements != theirs.elements
        and (ours.kind in WITH_OPTIONS or _type(ours, theirs) is not None)
    )


def half_altered(source: Catalog, target: Catalog, made: Iterable[SchemaObject]) -> set[Address]:
    """The types that a run has altered, and that wait for the half which comes after the rows.

    Args:
        target: discovered after that.
        made: what the run has made, alterations among it. Where one of these still seems to be needed, the server only
            writes its result otherwise.
    """
    settings = [item for item in made if item.kind == "settings"]
    altered = {item.address._replace(aspect="") for item in settings}
    said = {statement for item in settings for statement in item.statements}
    theirs = by_identity(target)
    return {
        item.address
        for item in source.objects
        if item.kind != "table"
        and item.address in altered
        and (found := theirs.get(identity_of(source, item))) is not None
        and any(
            later.phase is Phase.POST_DATA and not said.issuperset(later.statements)
            for later in alterations(source, target, item, found)
        )
    }


def quoted_name(source: Catalog, item: SchemaObject) -> str:
    """Schema and name of something of the source in the target, as DDL writes it."""
    return f"{quote(source.schemas[item.schema])}.{quote(item.name)}"


def setting_differences(ours: Table, theirs: Table) -> Iterator[str]:
    """What `alterations` would change about a table, in words; its UNLOGGED state too, which the load sees to."""
    mine, found = dict(_told(ours)), dict(_told(theirs))
    for what in dict.fromkeys((*mine, *found)):
        if mine.get(what) != found.get(what):
            yield f"{what} is {mine.get(what, 'not set')} in the source and {found.get(what, 'not set')} in the target"
    for column, other in _pairs(ours, theirs):
        if not _same_not_null(column, other):
            said = [_nullability(side) for side in (column, other)]
            yield f"column {column.name}: nullability is {said[0]} in the source and {said[1]} in the target"


def _settings(item: SchemaObject, phase: Phase, number: int, statements: Sequence[str]) -> SchemaObject:
    return replace(
        item,
        address=item.address._replace(aspect=f"settings {number}"),
        kind="settings",
        name=f"{item.kind} {f'{item.schema}.' if item.schema else ''}{item.name}",
        table=None,
        phase=phase,
        statements=tuple(statements),
        drop="",
        depends_on=item.depends_on,
        replaceable=True,
    )


def _pairs(ours: Table, theirs: Table) -> list[tuple[Column, Column]]:
    known = {column.name: column for column in theirs.columns}
    return [(column, known[column.name]) for column in ours.columns if column.name in known]


def _told(table: Table) -> Iterator[tuple[str, str]]:
    if table.kind != "p":
        yield "persistence", "UNLOGGED" if table.persistence == "u" else "LOGGED"
    if table.access_method:
        yield "access method", table.access_method
    if table.of_type:
        yield "type", table.of_type
    if table.inherits:
        yield "inheritance", ", ".join(table.inherits)
    yield "replica identity", _REPLICA_IDENTITY[table.replica_identity]
    for name, value in table.options:
        yield f"storage parameter {name}", value
    for column in table.columns:
        yield f"column {column.name}: storage", column.storage
        if column.statistics >= 0:
            yield f"column {column.name}: statistics target", str(column.statistics)
        for name, value in column.options:
            yield f"column {column.name}: option {name}", value


def _table(ours: Table, theirs: Table, name: str, version: int) -> Iterator[Alteration]:
    early = (f"ALTER TABLE {name} {clause}" for clause in _table_clauses(ours, theirs, version))
    yield from ((Phase.PRE_DATA, statement) for statement in early)
    for column, other in _pairs(ours, theirs):
        alter = f"ALTER TABLE ONLY {name} ALTER COLUMN {quote(column.name)}"
        # SET STORAGE DEFAULT came with 16; a type's own way of storage can be said by name.
        if column.storage != other.storage:
            yield Phase.PRE_DATA, f"{alter} SET STORAGE {column.storage}"
        if column.statistics != other.statistics:
            yield Phase.PRE_DATA, f"{alter} SET STATISTICS {column.statistics}"
        yield from ((Phase.PRE_DATA, f"{alter} {clause}") for clause in _options(column.options, other.options))
        if not _same_not_null(column, other):
            yield from _not_null(name, column, other, ours.replica_identity == "i")


def _table_clauses(ours: Table, theirs: Table, version: int) -> Iterator[str]:
    if ours.of_type != theirs.of_type:
        yield f"OF {ours.of_type}" if ours.of_type else "NOT OF"
    if ours.access_method != theirs.access_method and version >= ACCESS_METHOD_SINCE:
        yield f"SET ACCESS METHOD {ours.access_method or 'heap'}"
    yield from _options(ours.options, theirs.options)
    yield from (f"INHERIT {parent}" for parent in ours.inherits[_parents_alike(ours, theirs) :])
    identities = [_REPLICA_IDENTITY[table.replica_identity] for table in (ours, theirs)]
    if identities[0] != identities[1]:
        yield f"REPLICA IDENTITY {identities[0]}"


def leave_parents(ours: Table, theirs: Table, name: str) -> Iterator[str]:
    """The first half of a change of parents; `alterations` has the other. The order of parents counts."""
    for parent in theirs.inherits[_parents_alike(ours, theirs) :]:
        yield f"ALTER TABLE {name} NO INHERIT {parent}"


def _parents_alike(ours: Table, theirs: Table) -> int:
    pairs = zip(ours.inherits, theirs.inherits, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _options(mine: Options, found: Options) -> Iterator[str]:
    ours, theirs = dict(mine), dict(found)
    if gone := [name for name in theirs if name not in ours]:
        yield f"RESET ({', '.join(gone)})"
    if new := {name: value for name, value in ours.items() if theirs.get(name) != value}:
        yield f"SET ({', '.join(f'{name}={_literal(value)}' for name, value in new.items())})"


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _is_not_null(column: Column) -> bool:
    return column.not_null and not column.not_null_comes_later


def _same_not_null(ours: Column, theirs: Column) -> bool:
    """A server that has no names for NOT NULL is content with any name."""
    named = ours.not_null_constraint, theirs.not_null_constraint
    return _is_not_null(ours) == _is_not_null(theirs) and (
        not _is_not_null(ours) or None in named or named[0] == named[1]
    )


def _nullability(column: Column) -> str:
    if not _is_not_null(column):
        return "NULL allowed"
    return column.not_null_constraint or "NOT NULL"


def _not_null(table: str, ours: Column, theirs: Column, leant_on: bool) -> Iterator[Alteration]:
    """Rows that are there may hold NULL; but an identity, of the column or of replication, needs NOT NULL at once."""
    alter = f"ALTER TABLE {table} ALTER COLUMN {quote(ours.name)}"
    if names := _other_name(ours, theirs):
        yield Phase.PRE_DATA, f"ALTER TABLE {table} RENAME CONSTRAINT {names[0]} TO {names[1]}"
        return
    if _is_not_null(theirs):
        yield Phase.PRE_DATA, f"{alter} DROP NOT NULL"
    if _is_not_null(ours):
        said = ours.not_null_constraint
        phase = Phase.PRE_DATA if leant_on or ours.identity or _is_not_null(theirs) else Phase.POST_DATA
        yield phase, f"ALTER TABLE {table} ADD {said}" if said else f"{alter} SET NOT NULL"


def _other_name(ours: Column, theirs: Column) -> tuple[str, str] | None:
    """The former and the new name, where two valid NOT NULL constraints differ in nothing else."""
    if not (_is_not_null(ours) and _is_not_null(theirs) and ours.not_null_constraint and theirs.not_null_constraint):
        return None
    mine, found = (_CONSTRAINT.split(text)[1:] for text in (ours.not_null_constraint, theirs.not_null_constraint))
    return (found[0], mine[0]) if mine[1:] == found[1:] else None


def _options_of(ours: SchemaObject, theirs: SchemaObject) -> list[str]:
    """What makes the options of an object of the target those of the source's, and the version of a server."""
    if ours.kind == "publication":  # all of them are always said
        return [f"ALTER PUBLICATION {quote(ours.name)} SET ({', '.join(ours.elements)})"]
    alter = ours.drop.replace("DROP ", "ALTER ", 1).replace(" IF EXISTS", "", 1)
    mine, found = (dict(map(_named_option, side.elements)) for side in (ours, theirs))
    versions = [side.pop("VERSION", "NULL") for side in (mine, found)]
    changes = [f"DROP {name}" for name in found if name not in mine]
    changes += [
        f"{'SET' if name in found else 'ADD'} {name} {value}"
        for name, value in mine.items()
        if found.get(name) != value
    ]
    return [
        *([f"{alter} VERSION {versions[0]}"] if versions[0] != versions[1] else ()),
        *([f"{alter} OPTIONS ({', '.join(changes)})"] if changes else ()),
    ]


def _named_option(element: str) -> tuple[str, str]:
    """An option's name, as DDL writes it, and its value."""
    found = _OPTION.fullmatch(element)
    assert found is not None, element
    return found[1], found[2]


def _type(ours: SchemaObject, theirs: SchemaObject) -> list[Alteration] | None:
    """How to alter a type; None where that is not possible."""
    if ours.kind == "domain":  # the type that it is made of comes first
        return list(_domain(ours, theirs)) if ours.elements[:1] == theirs.elements[:1] else None
    if ours.head.endswith(" AS ENUM"):
        return _enum(ours, theirs)
    return _composite(ours, theirs) if ours.elements else None


def _enum(ours: SchemaObject, theirs: SchemaObject) -> list[Alteration] | None:
    """New labels at any place, and labels with another name in theirs; a label can't go, nor to another place."""
    alter = f"ALTER {ours.head.removesuffix(' AS ENUM')}"
    kept = [label for label in theirs.elements if label in ours.elements]
    if kept != [label for label in ours.elements if label in theirs.elements]:
        return None
    renamed: dict[str, str] = {}
    for mine, found in zip(_between(ours.elements, kept), _between(theirs.elements, kept), strict=True):
        if found and len(found) != len(mine):
            return None
        renamed.update(zip(found, mine, strict=False))
    statements = [f"{alter} RENAME VALUE {old} TO {new}" for old, new in renamed.items()]
    there = {*kept, *renamed.values()}
    for number, label in enumerate(ours.elements):
        if label not in there:
            follower = next((later for later in ours.elements[number:] if later in there), None)
            statements.append(f"{alter} ADD VALUE {label}" + (f" BEFORE {follower}" if follower else ""))
    return [(Phase.PRE_DATA, statement) for statement in statements]


def _between(labels: Sequence[str], kept: Sequence[str]) -> list[list[str]]:
    """What stands before, between and after some of the labels."""
    gaps: list[list[str]] = [[]]
    for label in labels:
        if label in kept:
            gaps.append([])
        else:
            gaps[-1].append(label)
    return gaps


def _composite(ours: SchemaObject, theirs: SchemaObject) -> list[Alteration] | None:
    """Attributes that come last are added. One that goes would take values of other tables along."""
    if ours.elements[: len(theirs.elements)] != theirs.elements:
        return None
    alter = f"ALTER {ours.head.removesuffix(' AS')}"
    return [
        (Phase.PRE_DATA, f"{alter} ADD ATTRIBUTE {attribute}") for attribute in ours.elements[len(theirs.elements) :]
    ]


def _domain(ours: SchemaObject, theirs: SchemaObject) -> Iterator[Alteration]:
    alter = f"ALTER {ours.head}"
    for clause in theirs.elements[1:]:
        if clause in ours.elements:
            continue
        if named := _CONSTRAINT.match(clause):
            yield Phase.PRE_DATA, f"{alter} DROP CONSTRAINT {named[1]}"
        elif clause == "NOT NULL":
            yield Phase.PRE_DATA, f"{alter} DROP NOT NULL"
        elif not any(other.startswith("DEFAULT ") for other in ours.elements):
            yield Phase.PRE_DATA, f"{alter} DROP DEFAULT"
    for clause in ours.elements[1:]:
        if clause in theirs.elements:
            continue
        if clause.startswith("DEFAULT "):
            yield Phase.PRE_DATA, f"{alter} SET {clause}"
        else:
            yield Phase.POST_DATA, f"{alter} SET NOT NULL" if clause == "NOT NULL" else f"{alter} ADD {clause}"
