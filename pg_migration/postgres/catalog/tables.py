"""CREATE TABLE, and what is said of a table in statements of its own: defaults, checks, keys, foreign keys.

There is no server function that writes a table. The rules of what can be said where follow PostgreSQL's pg_dump
(dumpTableSchema), so that a dump of the result is the same text.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pg_migration.postgres.catalog.draft import CONSTRAINT_KINDS, PG_ATTRDEF, PG_CLASS, PG_CONSTRAINT, Draft
from pg_migration.postgres.catalog.graph import reachable, topological_order
from pg_migration.postgres.catalog.keys import attachment, marks
from pg_migration.postgres.catalog.model import Address, Phase
from pg_migration.postgres.catalog.not_nulls import NOT_NULL, NotNulls, usual_constraint_name
from pg_migration.postgres.catalog.reading import Row, Rows
from pg_migration.postgres.catalog.renaming import quote

NAMED_NOT_NULL_SINCE = 180000
CHECK, FOREIGN_KEY, PRIMARY_KEY, UNIQUE, EXCLUSION = "c", "f", "p", "u", "x"
REPLICA_IDENTITIES = {"f": "FULL", "n": "NOTHING"}


@dataclass(frozen=True)
class TableRows:
    """The catalog rows of tables, their columns and their constraints, grouped for looking up.

    ``version`` and ``target_version`` (server_version_num of either side) decide what can be said: a server before 18
    has no names for NOT NULL.
    """

    rows: Rows
    version: int
    target_version: int

    @cached_property
    def tables(self) -> Mapping[int, Row]:
        return {row["oid"]: row for row in self.rows["tables"]}

    @cached_property
    def columns(self) -> Mapping[int, Sequence[Row]]:
        return _grouped(self.rows["columns"])

    @cached_property
    def constraints(self) -> Mapping[int, Sequence[Row]]:
        found = _grouped(self.rows["constraints"])
        if self.version < NAMED_NOT_NULL_SINCE <= self.target_version:
            not_nulls = NotNulls(self.tables, self.columns, found).rows()
            return _grouped([*self.rows["constraints"], *not_nulls])
        return found

    @cached_property
    def owners_of_names(self) -> Mapping[tuple[str, str], set[int]]:
        """For each schema and name, the tables that have a constraint of that name which no parent brought."""
        owners: dict[tuple[str, str], set[int]] = {}
        for oid, constraints in self.constraints.items():
            for row in constraints:
                if oid in self.tables and is_own(self.tables[oid], row):
                    owners.setdefault((self.tables[oid]["schema"], row["name"]), set()).add(oid)
        return owners

    @cached_property
    def children(self) -> Mapping[int, Sequence[int]]:
        """Inheritance children, partitions not counted."""
        found: dict[int, list[int]] = {}
        for table in self.tables.values():
            if not table["is_partition"]:
                for parent in table["parents"] or ():
                    found.setdefault(parent, []).append(table["oid"])
        return found

    def is_out_of_order(self, table: Row) -> bool:
        """Whether CREATE TABLE ... INHERITS, which puts the parents' columns first, would give another column order.

        So it is when a parent got a column later, or the table was put under a parent (ALTER TABLE ... INHERIT).
        """
        parents = table["parents"] or ()
        if table["is_partition"] or not all(parent in self.tables for parent in parents):
            return False
        inherited = [column["name"] for parent in parents for column in self.columns.get(parent, ())]
        own = [column["name"] for column in self.columns_of(table) if column["is_local"]]
        return list(dict.fromkeys(inherited + own)) != [column["name"] for column in self.columns_of(table)]

    def columns_of(self, table: Row) -> Sequence[Row]:
        return self.columns.get(table["oid"], ())

    def constraints_of(self, table: Row, kind: str) -> list[Row]:
        return [row for row in self.constraints.get(table["oid"], ()) if row["type"] == kind]

    def inherited_columns(self, table: Row, name: str) -> list[Row]:
        """The parents' columns of that name."""
        return [
            column
            for parent in table["parents"] or ()
            for column in self.columns.get(parent, ())
            if column["name"] == name
        ]

    def names_not_null(self, table: Row) -> bool:
        """Whether the table's NOT NULL constraints have names, and the target can keep them."""
        return self.target_version >= NAMED_NOT_NULL_SINCE and bool(self.constraints_of(table, NOT_NULL))

    def not_null_constraint(self, table: Row, column: Row) -> Row | None:
        """The NOT NULL constraint of its own that a table has on a column, where such constraints have names."""
        named = self.constraints_of(table, NOT_NULL) if self.names_not_null(table) else []
        return next((row for row in named if row["columns"] == [column["name"]] and is_own(table, row)), None)


def not_null_declaration(constraint: Row) -> str:
    """``CONSTRAINT name NOT NULL column``, as ALTER TABLE takes it."""
    return _declaration(constraint)


def _grouped(rows: Sequence[Row]) -> Mapping[int, Sequence[Row]]:
    groups: dict[int, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["relation"], []).append(row)
    return groups


def is_written_out(table: Row, column: Row) -> bool:
    """Whether CREATE TABLE lists the column: inherited ones come with the parent, but a partition is made by itself."""
    return bool(table["is_partition"] or column["is_local"])


def is_own(table: Row, constraint: Row) -> bool:
    """Whether a constraint is the table's to declare; the same distinction as for columns."""
    return bool(table["is_partition"] or constraint["is_local"])


def table_drafts(rows: TableRows) -> Iterator[Draft]:
    """Every table with its defaults, constraints and attachment to its parent."""
    for table in rows.tables.values():
        made = _table(rows, table)
        yield made
        checks = list(_separate_checks(rows, table))
        yield from checks
        yield from _separate_defaults(rows, table)
        yield from (_compression(table, column) for column in rows.columns_of(table) if column["compression"])
        yield from _late_not_nulls(rows, table)
        yield from _validations(rows, table)
        yield from _keys(rows, table)
        yield from _foreign_keys(rows, table)
        if table["is_partition"]:
            yield _partition(rows, table, made)


def _table(rows: TableRows, table: Row) -> Draft:
    checks = [row for row in rows.constraints_of(table, CHECK) if _check_is_inline(table, row)]
    generated = [row for row in rows.columns_of(table) if row["generated"] and row["default_oid"]]
    defaults = [
        row
        for row in rows.columns_of(table)
        if row["default_oid"] and not row["generated"] and _default_is_inline(rows, table, row)
    ]
    not_nulls = [row for row in rows.constraints_of(table, NOT_NULL) if row["valid"]]
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
            *(_constraint(table, row, Phase.PRE_DATA, only=False) for row in checks),
            *(_default(table, row) for row in defaults),
        ],
    )


def _create(rows: TableRows, table: Row) -> str:
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
    options = _options([*(table["options"] or ()), *(table["toast_options"] or ())])
    create = "".join(
        [
            f"CREATE {'UNLOGGED ' if unlogged else ''}TABLE {table['quoted']} ",
            f"OF {table['of_type']} " if typed else "",
            "" if typed and not lines else body,
            f" INHERITS ({', '.join(inherits)})" if inherits else "",
            f" PARTITION BY {table['partition_key']}" if table["partition_key"] else "",
            f" USING {table['access_method']}" if table["access_method"] else "",
            f" WITH ({options})" if options else "",
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


def _model_name(table: Row) -> str:
    return f'{quote(table["schema"])}."_pg_migration_model"'


def _model(rows: TableRows, table: Row) -> list[str]:
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
        _declaration(row)
        for row in (*not_nulls, *rows.constraints_of(table, CHECK))
        if not row["is_local"] and (row["valid"] or not row["enforced"]) and _is_made_above(rows, table, row)
    ]


def _is_made_above(rows: TableRows, table: Row, constraint: Row) -> bool:
    """Whether a parent has an inherited constraint when it is made; one that comes later reaches the children then."""
    told_by = "columns" if constraint["type"] == NOT_NULL else "name"
    return any(
        _is_made_above(rows, rows.tables[parent], row) if not row["is_local"] else _is_made_at_once(rows, parent, row)
        for parent in table["parents"] or ()
        for row in rows.constraints.get(parent, ())
        if row["type"] == constraint["type"] and row[told_by] == constraint[told_by] and not row["no_inherit"]
    )


def _is_made_at_once(rows: TableRows, oid: int, constraint: Row) -> bool:
    return bool(
        constraint["valid"] if constraint["type"] == NOT_NULL else _check_is_inline(rows.tables[oid], constraint)
    )


def _not_null_above(rows: TableRows, table: Row, column: Row) -> bool:
    """Whether a parent hands NOT NULL down although it has no name for it, as every one does before 18."""
    return rows.target_version < NAMED_NOT_NULL_SINCE and any(
        parent["not_null"] for parent in rows.inherited_columns(table, column["name"])
    )


def _inline_constraints(rows: TableRows, table: Row) -> list[str]:
    named = rows.constraints_of(table, NOT_NULL) if rows.names_not_null(table) else []
    written_out = {column["name"] for column in rows.columns_of(table) if is_written_out(table, column)}
    with_columns = [row for row in named if row["columns"][0] in written_out and _has_usual_name(rows, table, row)]
    return [_declaration(row) for row in named if row["valid"] and is_own(table, row) and row not in with_columns] + [
        _declaration(row) for row in rows.constraints_of(table, CHECK) if _check_is_inline(table, row)
    ]


def _column(rows: TableRows, table: Row, column: Row, typed: bool, modelled: bool) -> str:
    clauses = []
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


def _generation(column: Row) -> str:
    kept = "STORED" if column["generated"] == "s" else "VIRTUAL"
    return f"GENERATED ALWAYS AS ({column['default']}) {kept}"


def _says_not_null(rows: TableRows, table: Row, column: Row) -> bool:
    """Whether NOT NULL is part of the column's definition: it has no name worth keeping, and no parent brings it."""
    if rows.names_not_null(table):
        return any(
            row["columns"] == [column["name"]] and is_own(table, row) and _has_usual_name(rows, table, row)
            for row in rows.constraints_of(table, NOT_NULL)
        )
    inherited = not table["is_partition"] and _not_null_above(rows, table, column)
    return bool(column["not_null"]) and not inherited


def _has_usual_name(rows: TableRows, table: Row, not_null: Row) -> bool:
    """Whether a NOT NULL constraint has the name that the server would give it, and nothing else to say.

    The server passes over a name that another table of the schema has given away.
    """
    usual = usual_constraint_name(table["name"], not_null["columns"][0], "not_null")
    free = rows.owners_of_names.get((table["schema"], usual), set()) <= {table["oid"]}
    return bool(not_null["name"] == usual and free and not_null["valid"] and not not_null["no_inherit"])


def _generation_is_inherited(rows: TableRows, table: Row, column: Row) -> bool:
    """Before 16 a child may not repeat its parent's expression; what is made alone and joined later has to."""
    return not table["is_partition"] and any(
        parent["generated"] and parent["default"] == column["default"]
        for parent in rows.inherited_columns(table, column["name"])
    )


def _default_is_inline(rows: TableRows, table: Row, column: Row) -> bool:
    """Not where it leans on another object, which may make a circle, nor where children would inherit it."""
    if column["generated"]:
        return True
    return (
        is_written_out(table, column) and not column["default_leans_on_objects"] and table["oid"] not in rows.children
    )


def _separate_defaults(rows: TableRows, table: Row) -> Iterator[Draft]:
    for column in rows.columns_of(table):
        if column["default"] is not None and not _default_is_inline(rows, table, column):
            made = _default(table, column)
            made.requires |= {Address(PG_CLASS, child) for child in rows.children.get(table["oid"], ())}
            yield made


def _default(table: Row, column: Row) -> Draft:
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


def _column_alterations(rows: TableRows, table: Row) -> Iterator[str]:
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


def _is_stored_otherwise_above(rows: TableRows, table: Row, column: Row) -> bool:
    """CREATE TABLE ... INHERITS takes the storage of a parent's column over."""
    above = () if table["is_partition"] else rows.inherited_columns(table, column["name"])
    return any(parent["storage"] != column["storage"] for parent in above)


def _is_not_null_beyond_its_parents(rows: TableRows, table: Row, column: Row) -> bool:
    return (
        column["not_null"]
        and not is_written_out(table, column)
        and not rows.names_not_null(table)
        and not _not_null_above(rows, table, column)
    )


def _is_null_below_its_parents(rows: TableRows, table: Row, column: Row) -> bool:
    """Before 18 a child is made with its parents' NOT NULL, but need not keep it."""
    return not column["not_null"] and not table["is_partition"] and _not_null_above(rows, table, column)


def _table_alterations(table: Row) -> Iterator[str]:
    if table["replica_identity"] in REPLICA_IDENTITIES:
        yield f"ALTER TABLE ONLY {table['quoted']} REPLICA IDENTITY {REPLICA_IDENTITIES[table['replica_identity']]}"


def _options(options: Sequence[str]) -> str:
    """Storage parameters, from the catalog's ``name=value`` to DDL."""
    pairs = (option.partition("=") for option in options)
    return ", ".join(f"{name}='{value.replace(chr(39), chr(39) * 2)}'" for name, _, value in pairs)


def _declaration(constraint: Row) -> str:
    """``CONSTRAINT name definition``; the server leaves out the storage parameters of a key's index."""
    definition, deferred = constraint["definition"], ""
    if constraint["index_options"]:
        deferred = _deferral(constraint)
        definition = definition.removesuffix(deferred) + f" WITH ({_options(constraint['index_options'])})"
    return f"CONSTRAINT {quote(constraint['name'])} {definition}{deferred}"


def _deferral(constraint: Row) -> str:
    return next((words for words in _DEFERRED if constraint["definition"].endswith(words)), "")


_DEFERRED = (" DEFERRABLE INITIALLY DEFERRED", " DEFERRABLE")


def _check_is_inline(table: Row, check: Row) -> bool:
    return is_own(table, check) and (check["valid"] or not check["enforced"]) and not check["leans_on_objects"]


def _separate_checks(rows: TableRows, table: Row) -> Iterator[Draft]:
    """Checks that call functions, which may need the table; and those that existing rows may violate.

    Without ONLY, so that they reach the children that inherit them.
    """
    for row in rows.constraints_of(table, CHECK):
        late = row["enforced"] and not row["valid"]
        if _check_is_inline(table, row) or not (row["is_local"] if late else is_own(table, row)):
            continue
        yield _constraint(table, row, Phase.POST_DATA if late else Phase.PRE_DATA, only=False)


def _late_not_nulls(rows: TableRows, table: Row) -> Iterator[Draft]:
    for row in rows.constraints_of(table, NOT_NULL):
        if not row["valid"] and row["is_local"]:
            yield _constraint(table, row, Phase.POST_DATA, only=False)


def _validations(rows: TableRows, table: Row) -> Iterator[Draft]:
    """A child may have checked its rows against a constraint that its parent has not.

    The constraint reaches the child from the parent, and so under the parent's name. A child that says it itself, or
    has it from another parent as well, has it checked from the start.
    """
    for row in rows.constraints.get(table["oid"], ()):
        if row["type"] not in (CHECK, NOT_NULL) or is_own(table, row) or not row["valid"]:
            continue
        above = [
            other
            for parent in table["parents"] or ()
            for other in rows.constraints.get(parent, ())
            if other["type"] == row["type"]
            and other["enforced"]
            and (other["columns"] == row["columns"] if row["type"] == NOT_NULL else other["name"] == row["name"])
        ]
        if not above or any(other["valid"] for other in above):
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


def _keys(rows: TableRows, table: Row) -> Iterator[Draft]:
    for kind in (PRIMARY_KEY, UNIQUE, EXCLUSION):
        for row in rows.constraints_of(table, kind):
            made = _constraint(table, row, Phase.KEYS, only=True)
            if kind == PRIMARY_KEY and (unshared := _not_nulls_not_passed_on(rows, table, row)):
                made.statements = (_key_over_nulls(rows, table, unshared, made.statements[0]),)
            else:
                made.parallel = _key_by_index(table, row)
            yield made
            yield from marks(row, table, made)
            if row["parent_index_oid"]:
                parent = row["parent_constraint"]
                above = Address(PG_CONSTRAINT, parent) if parent else Address(PG_CLASS, row["parent_index_oid"])
                yield attachment(row, made, above)


def _not_nulls_not_passed_on(rows: TableRows, table: Row, key: Row) -> list[str]:
    """The columns of a key whose NOT NULL is NO INHERIT."""
    return [
        row["columns"][0]
        for row in (rows.constraints_of(table, NOT_NULL) if rows.names_not_null(table) else ())
        if row["no_inherit"] and row["columns"][0] in key["columns"]
    ]


def _key_over_nulls(rows: TableRows, table: Row, columns: Sequence[str], key: str) -> str:
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


def _key_by_index(table: Row, key: Row) -> tuple[str, ...]:
    """A key in two steps: while ADD CONSTRAINT builds an index, nobody else can build one on the table."""
    if key["index_definition"] is None:
        return ()
    words = "PRIMARY KEY" if key["type"] == PRIMARY_KEY else "UNIQUE"
    adopted = f"{words} USING INDEX {quote(key['index_name'])}{_deferral(key)}"
    return key["index_definition"], f"ALTER TABLE ONLY {table['quoted']} ADD CONSTRAINT {quote(key['name'])} {adopted}"


def _foreign_keys(rows: TableRows, table: Row) -> Iterator[Draft]:
    """A foreign key of a partitioned table reaches its partitions by itself; their copies have a parent constraint."""
    for row in rows.constraints_of(table, FOREIGN_KEY):
        if not row["parent"]:
            yield _constraint(table, row, Phase.FOREIGN_KEYS, only=table["kind"] == "r")


def _constraint(table: Row, row: Row, phase: Phase, only: bool) -> Draft:
    relation = f"ALTER TABLE {'ONLY ' if only else ''}{table['quoted']}"
    return Draft(
        address=Address(PG_CONSTRAINT, row["oid"]),
        kind=CONSTRAINT_KINDS[row["type"]],
        schema=table["schema"],
        name=row["name"],
        phase=phase,
        statements=(f"{relation} ADD {_declaration(row)}",),
        drop=f"ALTER TABLE {table['quoted']} DROP CONSTRAINT IF EXISTS {quote(row['name'])}",
        relation=table["oid"],
        requires={Address(PG_CLASS, table["oid"])},
    )


def _compression(table: Row, column: Row) -> Draft:
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


def _valid_checks(rows: TableRows, oids: Iterable[int]) -> set[Address]:
    return {
        Address(PG_CONSTRAINT, row["oid"])
        for oid in oids
        if oid in rows.tables
        for row in rows.constraints_of(rows.tables[oid], CHECK)
        if row["valid"]
    }


def _partition(rows: TableRows, table: Row, made: Draft) -> Draft:
    """A partition is made alone, so that its columns keep their order, then attached; checks have to match by then."""
    (parent,) = table["parents"]
    attach = f"ALTER TABLE ONLY {table['quoted_parents'][0]} ATTACH PARTITION {table['quoted']}"
    return Draft(
        address=made.address._replace(aspect="attach"),
        kind="partition",
        schema=table["schema"],
        name=table["name"],
        phase=Phase.PRE_DATA,
        statements=(f"{attach} {table['partition_bound']}",),
        drop=f"ALTER TABLE ONLY {table['quoted_parents'][0]} DETACH PARTITION {table['quoted']}",
        relation=table["oid"],
        requires={made.address, Address(PG_CLASS, parent)} | _valid_checks(rows, [table["oid"], parent]),
    )
