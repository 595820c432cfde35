"""CREATE TABLE, and what is said of a table in statements of its own: defaults, checks, keys, foreign keys.

There is no server function that writes a table. The rules of what can be said where follow PostgreSQL's pg_dump
(dumpTableSchema), so that a dump of the result is the same text.
"""

from collections.abc import Iterator, Sequence

from pg_migration.postgres.catalog.draft import PG_ATTRDEF, PG_CLASS, PG_CONSTRAINT, Draft
from pg_migration.postgres.catalog.model import Address, Phase
from pg_migration.postgres.catalog.objects.not_nulls import NOT_NULL, usual_constraint_name
from pg_migration.postgres.catalog.objects.table_constraints import (
    check_is_inline,
    constraint_draft,
    declaration,
    foreign_keys,
    keys,
    late_not_nulls,
    option_list,
    separate_checks,
    valid_checks,
    validations,
)
from pg_migration.postgres.catalog.objects.table_rows import (
    CHECK,
    NAMED_NOT_NULL_SINCE,
    TableRows,
    is_own,
    is_written_out,
    told_by,
)
from pg_migration.postgres.catalog.reading.rows import ColumnRow, ConstraintRow, TableRow
from pg_migration.postgres.catalog.schema_renaming import quote

REPLICA_IDENTITIES = {"f": "FULL", "n": "NOTHING"}


def not_null_declaration(constraint: ConstraintRow) -> str:
    """``CONSTRAINT name NOT NULL column``, as ALTER TABLE takes it."""
    return declaration(constraint)


def table_drafts(rows: TableRows) -> Iterator[Draft]:
    """Every table, also a foreign one, with its defaults, constraints and attachment to its parent."""
    for table in rows.tables.values():
        made = _table(rows, table)
        yield made
        checks = list(separate_checks(rows, table))
        yield from checks
        yield from _separate_defaults(rows, table)
        yield from (_compression(table, column) for column in rows.columns_of(table) if column["compression"])
        yield from late_not_nulls(rows, table)
        yield from validations(rows, table)
        yield from keys(rows, table)
        yield from foreign_keys(rows, table)
        if table["is_partition"]:
            yield _partition(rows, table, made)


def _table(rows: TableRows, table: TableRow) -> Draft:
    checks = [row for row in rows.constraints_of(table, CHECK) if check_is_inline(table, row)]
    generated = [row for row in rows.columns_of(table) if row["generated"] and row["default_oid"]]
    defaults = [
        row
        for row in rows.columns_of(table)
        if row["default_oid"] and not row["generated"] and _default_is_inline(rows, table, row)
    ]
    not_nulls = [row for row in rows.constraints_of(table, NOT_NULL) if row["valid"]]
    if table["server"] is not None:
        return _foreign_table(rows, table, [*checks, *not_nulls], [*generated, *defaults])
    return Draft(
        address=Address(PG_CLASS, table["oid"]),
        kind="table",
        schema=table["schema"],
        name=table["name"],
        phase=Phase.PRE_DATA,
        statements=(_create(rows, table), *_column_alterations(rows, table), *_table_alterations(table)),
        drop=f"DROP TABLE IF EXISTS {table['quoted']}",
        relation=table["oid"],
        catalog_rows={Address(PG_CONSTRAINT, row["oid"]) for row in not_nulls if row["oid"]}
        | {Address(PG_ATTRDEF, row["default_oid"]) for row in generated},
        parts=[
            *(constraint_draft(table, row, Phase.PRE_DATA, only=False) for row in checks),
            *(_default(table, row) for row in defaults),
        ],
    )


def _foreign_table(
    rows: TableRows, table: TableRow, constraints: Sequence[ConstraintRow], expressions: Sequence[ColumnRow]
) -> Draft:
    """A foreign table: with no rows of its own, it is made anew where anything but its options differs.

    Args:
        constraints: that its statement makes, and likewise ``expressions`` of columns.
    """
    create, others = _create(rows, table), tuple(_column_alterations(rows, table))
    return Draft(
        address=Address(PG_CLASS, table["oid"]),
        kind="foreign table",
        schema=table["schema"],
        name=table["name"],
        phase=Phase.PRE_DATA,
        statements=(create, *others),
        drop=f"DROP FOREIGN TABLE IF EXISTS {table['quoted']}",
        relation=table["oid"],
        catalog_rows={Address(PG_CONSTRAINT, row["oid"]) for row in constraints if row["oid"]}
        | {Address(PG_ATTRDEF, row["default_oid"]) for row in expressions},
        head=";\n".join((create.removesuffix(_foreign_options(table)), *others)),
        elements=tuple(table["foreign_options"]),
    )


def _foreign_options(table: TableRow) -> str:
    return f" OPTIONS ({', '.join(table['foreign_options'])})" if table["foreign_options"] else ""


def _create(rows: TableRows, table: TableRow) -> str:
    typed = table["of_type"] is not None
    modelled = rows.is_out_of_order(table)
    lines = [
        line
        for column in rows.columns_of(table)
        if is_written_out(table, column) and (line := _column(rows, table, column, typed, modelled))
    ]
    lines += _inline_constraints(rows, table)
    body = _body(lines)
    unlogged = table["persistence"] == "u" and not (table["kind"] == "p" and rows.target_version >= 180000)
    parents = () if table["is_partition"] else table["quoted_parents"] or ()
    inherits = (_model_name(table),) if modelled else parents
    options = option_list([*(table["options"] or ()), *(table["toast_options"] or ())])
    create = "".join(
        [
            f"CREATE {'UNLOGGED ' if unlogged else 'FOREIGN ' if table['server'] else ''}TABLE {table['quoted']} ",
            f"OF {table['of_type']} " if typed else "",
            "" if typed and not lines else body,
            f" INHERITS ({', '.join(inherits)})" if inherits else "",
            f" PARTITION BY {table['partition_key']}" if table["partition_key"] else "",
            f" USING {table['access_method']}" if table["access_method"] else "",
            f" WITH ({options})" if options else "",
            f" SERVER {table['server']}{_foreign_options(table)}" if table["server"] else "",
        ]
    )
    if not modelled:
        return create
    return ";\n".join(
        [
            f"CREATE TABLE {_model_name(table)} {_body(_model(rows, table))}",
            create,
            *(f"ALTER TABLE {table['quoted']} INHERIT {parent}" for parent in parents),
            f"ALTER TABLE {table['quoted']} NO INHERIT {_model_name(table)}",
            f"DROP TABLE {_model_name(table)}",
        ]
    )


def _body(lines: Sequence[str]) -> str:
    return "(\n    " + ",\n    ".join(lines) + "\n)" if lines else "()"


def _model_name(table: TableRow) -> str:
    return f'{quote(table["schema"])}."_pg_migration_model"'


def _model(rows: TableRows, table: TableRow) -> list[str]:
    """The columns and constraints of a parent for the time of CREATE TABLE, which has all columns in their order.

    The real parents are put over the table before this one goes. What nothing inherits from then on becomes the table's
    own, what it declares itself is its own already, and the rest is only inherited, as it should be: there is no other
    way to say that of a column that is not where CREATE TABLE would put it.
    """
    lines = []
    for column in rows.columns_of(table):
        clauses = [column["quoted"], column["quoted_type"]]
        if column["collation"]:
            clauses.append(f"COLLATE {column['collation']}")
        if column["generated"]:
            clauses.append(_generation(column))
        if not rows.names_not_null(table) and _not_null_above(rows, table, column):
            clauses.append("NOT NULL")
        lines.append(" ".join(clauses))
    not_nulls = rows.constraints_of(table, NOT_NULL) if rows.names_not_null(table) else []
    return lines + [
        declaration(row)
        for row in (*not_nulls, *rows.constraints_of(table, CHECK))
        if not row["is_local"] and (row["valid"] or not row["enforced"]) and _is_made_above(rows, table, row)
    ]


def _is_made_above(rows: TableRows, table: TableRow, constraint: ConstraintRow) -> bool:
    """Whether a parent has an inherited constraint when it is made; one that comes later reaches the children then."""

    return any(
        _is_made_above(rows, rows.tables[parent], row) if not row["is_local"] else _is_made_at_once(rows, parent, row)
        for parent in table["parents"] or ()
        for row in rows.constraints.get(parent, ())
        if row["type"] == constraint["type"] and told_by(row) == told_by(constraint) and not row["no_inherit"]
    )


def _is_made_at_once(rows: TableRows, oid: int, constraint: ConstraintRow) -> bool:
    return bool(
        constraint["valid"] if constraint["type"] == NOT_NULL else check_is_inline(rows.tables[oid], constraint)
    )


def _not_null_above(rows: TableRows, table: TableRow, column: ColumnRow) -> bool:
    """Whether a parent hands NOT NULL down although it has no name for it, as every one does before 18."""
    return rows.target_version < NAMED_NOT_NULL_SINCE and any(
        parent["not_null"] for parent in rows.inherited_columns(table, column["name"])
    )


def _inline_constraints(rows: TableRows, table: TableRow) -> list[str]:
    named = rows.constraints_of(table, NOT_NULL) if rows.names_not_null(table) else []
    written_out = {column["name"] for column in rows.columns_of(table) if is_written_out(table, column)}
    with_columns = [row for row in named if row["columns"][0] in written_out and _has_usual_name(rows, table, row)]
    return [declaration(row) for row in named if row["valid"] and is_own(table, row) and row not in with_columns] + [
        declaration(row) for row in rows.constraints_of(table, CHECK) if check_is_inline(table, row)
    ]


def _column(rows: TableRows, table: TableRow, column: ColumnRow, typed: bool, modelled: bool) -> str:
    clauses = []
    if column["foreign_options"]:
        clauses.append(f"OPTIONS ({column['foreign_options']})")
    if column["collation"] and not typed:
        clauses.append(f"COLLATE {column['collation']}")
    if column["generated"] and not modelled and not _generation_is_inherited(rows, table, column):
        clauses.append(_generation(column))
    elif not column["generated"] and column["default"] is not None and _default_is_inline(rows, table, column):
        clauses.append(f"DEFAULT {column['default']}")
    if _says_not_null(rows, table, column):
        clauses.append("NOT NULL")
    if typed:
        return f"{column['quoted']} WITH OPTIONS {' '.join(clauses)}" if clauses else ""
    return " ".join([column["quoted"], column["quoted_type"], *clauses])


def _generation(column: ColumnRow) -> str:
    kept = "STORED" if column["generated"] == "s" else "VIRTUAL"
    return f"GENERATED ALWAYS AS ({column['default']}) {kept}"


def _says_not_null(rows: TableRows, table: TableRow, column: ColumnRow) -> bool:
    """Whether NOT NULL is part of the column's definition: it has no name worth keeping, and no parent brings it."""
    if rows.names_not_null(table):
        return any(
            row["columns"] == [column["name"]] and is_own(table, row) and _has_usual_name(rows, table, row)
            for row in rows.constraints_of(table, NOT_NULL)
        )
    inherited = not table["is_partition"] and _not_null_above(rows, table, column)
    return bool(column["not_null"]) and not inherited


def _has_usual_name(rows: TableRows, table: TableRow, not_null: ConstraintRow) -> bool:
    """Whether a NOT NULL constraint has the name that the server would give it, and nothing else to say.

    The server passes over a name that another table of the schema has given away.
    """
    usual = usual_constraint_name(table["name"], not_null["columns"][0], "not_null")
    free = rows.owners_of_names.get((table["schema"], usual), set()) <= {table["oid"]}
    return bool(not_null["name"] == usual and free and not_null["valid"] and not not_null["no_inherit"])


def _generation_is_inherited(rows: TableRows, table: TableRow, column: ColumnRow) -> bool:
    """Before 16 a child may not repeat its parent's expression; what is made alone and joined later has to."""
    return not table["is_partition"] and any(
        parent["generated"] and parent["default"] == column["default"]
        for parent in rows.inherited_columns(table, column["name"])
    )


def _default_is_inline(rows: TableRows, table: TableRow, column: ColumnRow) -> bool:
    """Not where it leans on another object, which may make a circle, nor where children would inherit it."""
    if column["generated"]:
        return True
    return (
        is_written_out(table, column) and not column["default_leans_on_objects"] and table["oid"] not in rows.children
    )


def _separate_defaults(rows: TableRows, table: TableRow) -> Iterator[Draft]:
    for column in rows.columns_of(table):
        if column["default"] is not None and not _default_is_inline(rows, table, column):
            made = _default(table, column)
            made.requires |= {Address(PG_CLASS, child) for child in rows.children.get(table["oid"], ())}
            yield made


def _default(table: TableRow, column: ColumnRow) -> Draft:
    alter = f"ALTER TABLE ONLY {table['quoted']} ALTER COLUMN {column['quoted']}"
    return Draft(
        address=Address(PG_ATTRDEF, column["default_oid"]),
        kind="default",
        schema=table["schema"],
        name=column["name"],
        phase=Phase.PRE_DATA,
        statements=(f"{alter} SET DEFAULT {column['default']}",),
        drop=f"{alter} DROP DEFAULT",
        relation=table["oid"],
        replaceable=True,
    )


def _column_alterations(rows: TableRows, table: TableRow) -> Iterator[str]:
    for column in rows.columns_of(table):
        alter = f"ALTER TABLE ONLY {table['quoted']} ALTER COLUMN {column['quoted']} SET"
        if _is_not_null_beyond_its_parents(rows, table, column):
            yield f"{alter} NOT NULL"
        if _is_null_below_its_parents(rows, table, column):
            yield f"{alter.removesuffix(' SET')} DROP NOT NULL"
        if not column["stored_as_usual"] or _is_stored_otherwise_above(rows, table, column):
            yield f"{alter} STORAGE {column['storage']}"
        if column["statistics"] is not None:
            yield f"{alter} STATISTICS {column['statistics']}"
        if column["options"]:
            yield f"{alter} ({column['options']})"


def _is_stored_otherwise_above(rows: TableRows, table: TableRow, column: ColumnRow) -> bool:
    """CREATE TABLE ... INHERITS takes the storage of a parent's column over."""
    above = () if table["is_partition"] else rows.inherited_columns(table, column["name"])
    return any(parent["storage"] != column["storage"] for parent in above)


def _is_not_null_beyond_its_parents(rows: TableRows, table: TableRow, column: ColumnRow) -> bool:
    return (
        column["not_null"]
        and not is_written_out(table, column)
        and not rows.names_not_null(table)
        and not _not_null_above(rows, table, column)
    )


def _is_null_below_its_parents(rows: TableRows, table: TableRow, column: ColumnRow) -> bool:
    """Before 18 a child is made with its parents' NOT NULL, but need not keep it."""
    return not column["not_null"] and not table["is_partition"] and _not_null_above(rows, table, column)


def _table_alterations(table: TableRow) -> Iterator[str]:
    if table["replica_identity"] in REPLICA_IDENTITIES:
        yield f"ALTER TABLE ONLY {table['quoted']} REPLICA IDENTITY {REPLICA_IDENTITIES[table['replica_identity']]}"


def _compression(table: TableRow, column: ColumnRow) -> Draft:
    """SET COMPRESSION, by itself: not every server is built with every method."""
    alter = f"ALTER TABLE ONLY {table['quoted']} ALTER COLUMN {column['quoted']} SET COMPRESSION"
    return Draft(
        address=Address(PG_CLASS, table["oid"], column["number"], "compression"),
        kind="compression",
        schema=table["schema"],
        name=f"{column['name']} {column['compression']}",
        phase=Phase.PRE_DATA,
        statements=(f"{alter} {column['compression']}",),
        drop=f"{alter} default",
        relation=table["oid"],
        replaceable=True,
    )


def _partition(rows: TableRows, table: TableRow, made: Draft) -> Draft:
    """A partition is made alone, so that its columns keep their order, then attached; checks have to match by then."""
    (parent,) = table["parents"]
    attach = f"ALTER TABLE ONLY {table['quoted_parents'][0]} ATTACH PARTITION {table['quoted']}"
    return Draft(
        address=made.address._replace(aspect="attach"),
        kind="partition",
        schema=table["schema"],
        name=table["name"],
        # Rows that are loaded through the root never go to a foreign partition.
        phase=Phase.PRE_DATA if table["server"] is None else Phase.POST_DATA,
        statements=(f"{attach} {table['partition_bound']}",),
        drop=f"ALTER TABLE ONLY {table['quoted_parents'][0]} DETACH PARTITION {table['quoted']}",
        relation=table["oid"],
        requires={made.address, Address(PG_CLASS, parent)} | valid_checks(rows, [table["oid"], parent]),
    )
