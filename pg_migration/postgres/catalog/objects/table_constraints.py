"""What is said of a table in statements of its own: checks, NOT NULL, keys, foreign keys."""

from collections.abc import Iterable, Iterator, Sequence

from pg_migration.postgres.catalog.draft import CONSTRAINT_KINDS, PG_CLASS, PG_CONSTRAINT, Draft
from pg_migration.postgres.catalog.model import Address, Phase
from pg_migration.postgres.catalog.objects.index_marks import attachment, marks
from pg_migration.postgres.catalog.objects.not_nulls import NOT_NULL
from pg_migration.postgres.catalog.objects.table_rows import (
    CHECK,
    EXCLUSION,
    FOREIGN_KEY,
    PRIMARY_KEY,
    UNIQUE,
    TableRows,
    is_own,
    told_by,
)
from pg_migration.postgres.catalog.ordering.graph import reachable, topological_order
from pg_migration.postgres.catalog.reading.rows import ColumnRow, ConstraintRow, TableRow
from pg_migration.postgres.catalog.schema_renaming import quote


def option_list(options: Sequence[str]) -> str:
    """Storage parameters, from the catalog's ``name=value`` to DDL."""
    pairs = (option.partition("=") for option in options)
    return ", ".join(f"{name}='{value.replace(chr(39), chr(39) * 2)}'" for name, _, value in pairs)


def declaration(constraint: ConstraintRow) -> str:
    """``CONSTRAINT name definition``; the server leaves out the storage parameters of a key's index."""
    definition, deferred = constraint["definition"], ""
    if constraint["index_options"]:
        deferred = _deferral(constraint)
        definition = definition.removesuffix(deferred) + f" WITH ({option_list(constraint['index_options'])})"
    return f"CONSTRAINT {quote(constraint['name'])} {definition}{deferred}"


def _deferral(constraint: ConstraintRow) -> str:
    return next((words for words in _DEFERRED if constraint["definition"].endswith(words)), "")


_DEFERRED = (" DEFERRABLE INITIALLY DEFERRED", " DEFERRABLE")


def check_is_inline(table: TableRow, check: ConstraintRow) -> bool:
    return is_own(table, check) and (check["valid"] or not check["enforced"]) and not check["leans_on_objects"]


def separate_checks(rows: TableRows, table: TableRow) -> Iterator[Draft]:
    """Checks that call functions, which may need the table; and those that existing rows may violate.

    Without ONLY, so that they reach the children that inherit them.
    """
    for row in rows.constraints_of(table, CHECK):
        late = row["enforced"] and not row["valid"]
        if check_is_inline(table, row) or not (row["is_local"] if late else is_own(table, row)):
            continue
        yield constraint_draft(table, row, Phase.POST_DATA if late else Phase.PRE_DATA, only=False)


def late_not_nulls(rows: TableRows, table: TableRow) -> Iterator[Draft]:
    for row in rows.constraints_of(table, NOT_NULL):
        if not row["valid"] and row["is_local"]:
            yield constraint_draft(table, row, Phase.POST_DATA, only=False)


def validations(rows: TableRows, table: TableRow) -> Iterator[Draft]:
    """A child may have checked its rows against a constraint that its parent has not.

    The constraint reaches the child from the parent, and so under the parent's name. A child that says it itself, or
    has it from another parent as well, has it checked from the start.
    """
    for row in rows.constraints.get(table["oid"], ()):
        if row["type"] not in (CHECK, NOT_NULL) or not (above := _unchecked_above(rows, table, row)):
            continue
        name = above[0]["name"]
        yield Draft(
            address=Address(PG_CONSTRAINT, row["oid"], aspect="validation"),
            kind="validation",
            schema=table["schema"],
            name=name,
            phase=Phase.POST_DATA,
            statements=(f"ALTER TABLE {table['quoted']} VALIDATE CONSTRAINT {quote(name)}",),
            relation=table["oid"],
            requires={Address(PG_CONSTRAINT, other["oid"]) for other in above},
            replaceable=True,
        )


def is_late_not_null(rows: TableRows, table: TableRow, column: ColumnRow) -> bool:
    """Whether a column's NOT NULL is made or checked by a statement of its own, after the rows have come."""
    return any(
        not row["valid"] or _unchecked_above(rows, table, row)
        for row in rows.constraints_of(table, NOT_NULL)
        if row["columns"] == [column["name"]]
    )


def _unchecked_above(rows: TableRows, table: TableRow, constraint: ConstraintRow) -> list[ConstraintRow]:
    """The constraints that a valid one of a child comes from, where no parent has checked its own; else nothing."""
    if is_own(table, constraint) or not constraint["valid"]:
        return []
    above = [
        other
        for parent in table["parents"] or ()
        for other in rows.constraints.get(parent, ())
        if other["type"] == constraint["type"] and other["enforced"] and told_by(other) == told_by(constraint)
    ]
    return [] if any(other["valid"] for other in above) else above


def keys(rows: TableRows, table: TableRow) -> Iterator[Draft]:
    for kind in (PRIMARY_KEY, UNIQUE, EXCLUSION):
        for row in rows.constraints_of(table, kind):
            made = constraint_draft(table, row, Phase.KEYS, only=True)
            if kind == PRIMARY_KEY and (unshared := _not_nulls_not_passed_on(rows, table, row)):
                made.statements = (_key_over_nulls(rows, table, unshared, made.statements[0]),)
            else:
                made.parallel = _key_by_index(table, row)
            yield made
            yield from marks(row, table["quoted"], made)
            if row["parent_index_oid"]:
                parent = row["parent_constraint"]
                above = Address(PG_CONSTRAINT, parent) if parent else Address(PG_CLASS, row["parent_index_oid"])
                yield attachment(row, made, above)


def _not_nulls_not_passed_on(rows: TableRows, table: TableRow, key: ConstraintRow) -> list[str]:
    """The columns of a key whose NOT NULL is NO INHERIT."""
    return [
        row["columns"][0]
        for row in (rows.constraints_of(table, NOT_NULL) if rows.names_not_null(table) else ())
        if row["no_inherit"] and row["columns"][0] in key["columns"]
    ]


def _key_over_nulls(rows: TableRows, table: TableRow, columns: Sequence[str], key: str) -> str:
    """A primary key of a table whose children may hold NULL, in one transaction.

    From 18 on the server wants the children to be NOT NULL when the key is made, but not afterwards. So that is said
    of them, without a look at their rows, and taken back. PostgreSQL docs: ALTER TABLE, "ALTER CONSTRAINT".
    """
    family = reachable([table["oid"]], rows.children)
    parents = {oid: [p for p in rows.tables[oid]["parents"] or () if p in family] for oid in family}
    downwards = [rows.tables[oid] for oid in topological_order(parents, lambda oid: (oid,))]
    say, take_back = [f"LOCK TABLE {table['quoted']} IN ACCESS EXCLUSIVE MODE"], []
    for number, name in enumerate(columns, 1):
        found = {
            t["oid"]: row for t in downwards for row in rows.constraints_of(t, NOT_NULL) if row["columns"] == [name]
        }
        for member in reversed(downwards):
            alter, row = f"ALTER TABLE {member['quoted']}", found.get(member["oid"])
            if row is None:
                say.append(f'{alter} ADD CONSTRAINT "_pg_migration_{number}" NOT NULL {quote(name)} NOT VALID')
            elif row["no_inherit"]:
                say.append(f"{alter} ALTER CONSTRAINT {quote(row['name'])} INHERIT")
        for member in downwards:
            alter, row = f"ALTER TABLE {member['quoted']}", found.get(member["oid"])
            if row is None:
                take_back.append(f"{alter} ALTER COLUMN {quote(name)} DROP NOT NULL")
            elif row["no_inherit"]:
                take_back.append(f"{alter} ALTER CONSTRAINT {quote(row['name'])} NO INHERIT")
    return ";\n".join([*say, key, *take_back])


def _key_by_index(table: TableRow, key: ConstraintRow) -> tuple[str, ...]:
    """A key in two steps: while ADD CONSTRAINT builds an index, nobody else can build one on the table."""
    if key["index_definition"] is None:
        return ()
    words = "PRIMARY KEY" if key["type"] == PRIMARY_KEY else "UNIQUE"
    adopted = f"{words} USING INDEX {quote(key['index_name'])}{_deferral(key)}"
    return key["index_definition"], f"ALTER TABLE ONLY {table['quoted']} ADD CONSTRAINT {quote(key['name'])} {adopted}"


def foreign_keys(rows: TableRows, table: TableRow) -> Iterator[Draft]:
    """A foreign key of a partitioned table reaches its partitions by itself; their copies have a parent constraint."""
    for row in rows.constraints_of(table, FOREIGN_KEY):
        if not row["parent"]:
            yield constraint_draft(table, row, Phase.FOREIGN_KEYS, only=table["kind"] == "r")


def constraint_draft(table: TableRow, row: ConstraintRow, phase: Phase, only: bool) -> Draft:
    relation = f"ALTER TABLE {'ONLY ' if only else ''}{table['quoted']}"
    return Draft(
        address=Address(PG_CONSTRAINT, row["oid"]),
        kind=CONSTRAINT_KINDS[row["type"]],
        schema=table["schema"],
        name=row["name"],
        phase=phase,
        statements=(f"{relation} ADD {declaration(row)}",),
        drop=f"ALTER TABLE {table['quoted']} DROP CONSTRAINT IF EXISTS {quote(row['name'])}",
        relation=table["oid"],
        requires={Address(PG_CLASS, table["oid"])},
    )


def valid_checks(rows: TableRows, oids: Iterable[int]) -> set[Address]:
    return {
        Address(PG_CONSTRAINT, row["oid"])
        for oid in oids
        if oid in rows.tables
        for row in rows.constraints_of(rows.tables[oid], CHECK)
        if row["valid"]
    }
