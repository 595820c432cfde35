"""NOT NULL as constraints with names, which every one is in PostgreSQL 18, for sources that know the mark alone."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from pg_migration.postgres.catalog.ordering.graph import reachable
from pg_migration.postgres.catalog.reading.rows import ColumnRow, ConstraintRow, TableRow

NOT_NULL = "n"


def usual_constraint_name(table: str, column: str, label: str) -> str:
    """The name that the server makes up: ``table_column_label``, the longer part cut until it fits into 63 bytes.

    As makeObjectName of PostgreSQL's src/backend/commands/indexcmds.c does it.
    """
    parts = [part.encode(errors="surrogateescape") for part in (table, column)]
    while len(parts[0]) + len(parts[1]) + len(label) + 2 > 63:
        longer = 0 if len(parts[0]) > len(parts[1]) else 1
        parts[longer] = parts[longer][:-1]
    # Where the cut goes through a character, all of it goes; bytes of no encoding stay, where nothing is cut.
    kept = [
        name if part == name.encode(errors="surrogateescape") else part.decode(errors="ignore")
        for name, part in zip((table, column), parts, strict=True)
    ]
    return "_".join([*kept, label])


class NotNulls:
    """What a server from 18 on keeps of tables that come from one which has no names for NOT NULL.

    Up to 17 a child of an inheritance tree may allow NULL where its parent does not: then the parent's constraint is NO
    INHERIT. Names are those that the server would give, unless another constraint has the name, of the table itself or
    of a table that it inherits from or hands down to: such a constraint may come later than the table.
    """

    def __init__(
        self,
        tables: Mapping[int, TableRow],
        columns: Mapping[int, Sequence[ColumnRow]],
        constraints: Mapping[int, Sequence[ConstraintRow]],
    ) -> None:
        self._tables = tables
        self._columns = {
            (oid, column["name"]): column for oid, of_table in columns.items() for column in of_table if oid in tables
        }
        self._parents = {oid: [p for p in table["parents"] or () if p in tables] for oid, table in tables.items()}
        self._children: dict[int, list[int]] = defaultdict(list)
        for oid, parents in self._parents.items():
            for parent in parents:
                self._children[parent].append(oid)
        self._taken = {oid: {row["name"] for row in constraints.get(oid, ())} for oid in tables}
        self._names: dict[tuple[int, str], str] = {}
        self._passed_on: dict[tuple[int, str], bool] = {}

    def rows(self) -> Iterator[ConstraintRow]:
        """Like rows of ``queries/constraints.sql``; these constraints have no OID."""
        for (oid, name), column in self._columns.items():
            if not column["not_null"]:
                continue
            passed_on = self._is_passed_on(oid, name)
            yield {
                "oid": 0,
                "relation": oid,
                "name": self._name(oid, name),
                "type": NOT_NULL,
                "definition": f"NOT NULL {column['quoted']}{'' if passed_on else ' NO INHERIT'}",
                "valid": True,
                "enforced": True,
                "is_local": not (self._tables[oid]["is_partition"] or self._above(oid, name)),
                "no_inherit": not passed_on,
                "columns": [name],
                # What only constraints with an index have, or those that refer to other objects.
                "index_definition": None,
                "parent": 0,
                "index": 0,
                "index_name": "",
                "quoted_index": "",
                "index_options": None,
                "clustered": None,
                "replica_identity": None,
                "index_valid": None,
                "parent_index": None,
                "parent_constraint": None,
                "parent_index_oid": None,
                "referenced": 0,
                "referenced_columns": [],
                "referenced_schema": "",
                "referenced_name": "",
                "leans_on_objects": False,
            }

    def _is_passed_on(self, oid: int, column: str) -> bool:
        if (oid, column) not in self._passed_on:
            below = reachable(self._children.get(oid, ()), self._children)
            marks = (found["not_null"] for child in below if (found := self._columns.get((child, column))))
            self._passed_on[oid, column] = all(marks)
        return self._passed_on[oid, column]

    def _above(self, oid: int, column: str) -> list[int]:
        """The parents that hand NOT NULL down."""
        return [
            parent
            for parent in self._parents[oid]
            if (found := self._columns.get((parent, column)))
            and found["not_null"]
            and self._is_passed_on(parent, column)
        ]

    def _name(self, oid: int, column: str) -> str:
        """An inherited constraint has its parent's name, but a partition is made with one of its own."""
        if (oid, column) not in self._names:
            above = () if self._tables[oid]["is_partition"] else self._above(oid, column)
            self._names[oid, column] = self._name(above[0], column) if above else self._free_name(oid, column)
        return self._names[oid, column]

    def _free_name(self, oid: int, column: str) -> str:
        family = reachable([oid], self._parents) | reachable([oid], self._children)
        taken = set().union(*(self._taken[member] for member in family))
        number, label = 0, "not_null"
        while (name := usual_constraint_name(self._tables[oid]["name"], column, label)) in taken:
            number += 1
            label = f"not_null{number}"
        self._taken[oid].add(name)
        return name
