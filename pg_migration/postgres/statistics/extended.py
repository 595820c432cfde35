"""What the source's planner knows of statistics objects (CREATE STATISTICS), which servers take from 19 on."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.sql_files import sql_file

RESTORED_SINCE = 190000

# Since when servers tell of expressions, of tables without what inherits from them, of ranges among expressions.
EXPRESSIONS_SINCE = 140000
INHERITED_SINCE = 150000
RANGES_SINCE = 190000

_DOCUMENTS = {"n_distinct": "pg_ndistinct_in", "dependencies": "pg_dependencies_in"}
_TYPES = {
    "most_common_vals": "_text",
    "most_common_freqs": "_float8",
    "most_common_base_freqs": "_float8",
    "exprs": "jsonb",
}

# What the target knows that the source does not would stay else.
_CLEAR = """
SELECT pg_catalog.pg_clear_extended_stats(s.schemaname, s.tablename, s.statistics_schemaname, s.statistics_name,
                                          s.inherited)
  FROM pg_catalog.pg_stats_ext s
 WHERE (s.statistics_schemaname, s.statistics_name) IN ({objects}) AND s.inherited IS NOT NULL
"""
# The target may lack the object, and may call its columns by other numbers.
_CALL = """
SELECT CASE WHEN there.columns OPERATOR(pg_catalog.=) {columns}::pg_catalog.text[]
            THEN pg_catalog.pg_restore_extended_stats({arguments}) ELSE false END
  FROM (SELECT) AS one
  LEFT JOIN (
        SELECT ARRAY(SELECT pg_catalog.concat(a.attname) FROM {keys}) AS columns,
               ARRAY(SELECT pg_catalog.concat(a.attnum) FROM {keys}) AS numbers
          FROM pg_catalog.pg_statistic_ext e
          JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.stxnamespace
         WHERE n.nspname OPERATOR(pg_catalog.=) {schema} AND e.stxname OPERATOR(pg_catalog.=) {name}) AS there ON true
"""
_KEYS = """pg_catalog.unnest(e.stxkeys::pg_catalog.int2[]) WITH ORDINALITY AS k (number, place)
     JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) e.stxrelid
                                   AND a.attnum OPERATOR(pg_catalog.=) k.number
    ORDER BY k.place"""


@dataclass(frozen=True)
class ExtendedStatistics:
    """What is known of a statistics object, whose ``schema`` has the target's name; ``known`` as for a table.

    Values follow the order of ``columns``; documents name those by their places, as ``format`` takes arguments.
    ``is_hidden``: the role may not read what is known.
    """

    schema: str
    name: str
    inherited: bool
    columns: tuple[str, ...]
    known: tuple[tuple[str, str], ...]
    is_hidden: bool


def read_extended(
    connection: Connection, tables: Collection[int], schemas: Mapping[str, str]
) -> Iterator[tuple[int, ExtendedStatistics]]:
    """What is known of each statistics object of some tables, with the table's OID.

    Args:
        schemas: the target's names of schemas; objects in others are not migrated.
    """
    rows = fetch(connection, _query(connection.server_version), {"tables": sorted(tables)})
    for table, schema, name, inherited, columns, numbers, known, is_hidden in rows:
        if schema in schemas:
            pairs = tuple((argument, _by_place(argument, value, numbers)) for argument, value in known)
            yield table, ExtendedStatistics(schemas[schema], name, inherited, tuple(columns), pairs, is_hidden)


@cache
def _query(version: int) -> sql.Composable:
    names = ("range_length_histogram", "range_empty_frac", "range_bounds_histogram")
    ranges = "".join(f", ('{name}', concat(p.{name}))" for name in names) if version >= RANGES_SINCE else ""
    alike = " AND p.inherited = s.inherited" if version >= INHERITED_SINCE else ""
    each = sql_file("statistics/expressions.sql").replace("{ranges}", ranges).replace("{alike}", alike)
    expressions = f", ('exprs',\n{each})" if version >= EXPRESSIONS_SINCE else ""
    inherited = "coalesce(s.inherited, false)" if version >= INHERITED_SINCE else "c.relkind = 'p'"
    text = sql_file("statistics/extended.sql")
    return sql.SQL(text.replace("{expressions}", expressions).replace("{inherited}", inherited))


def _by_place(argument: str, value: str, numbers: Sequence[int]) -> str:
    """What is known of several columns together as 19 writes it, with their places for their numbers."""
    if argument not in _DOCUMENTS:
        return value
    found = json.loads(value)
    if argument == "n_distinct":
        distinct = found if isinstance(found, list) else [_attributes(key, ndistinct=n) for key, n in found.items()]
        documents = [{**one, "attributes": _places(one["attributes"], numbers)} for one in distinct]
    else:
        implied = found if isinstance(found, list) else [_dependency(key, degree) for key, degree in found.items()]
        documents = [
            {
                "attributes": _places(one["attributes"], numbers),
                "dependency": _places([one["dependency"]], numbers)[0],
                "degree": one["degree"],
            }
            for one in implied
        ]
    return json.dumps(documents).replace('"%', "%").replace('$s"', "$s")


def _attributes(key: str, **known: object) -> dict[str, Any]:
    return {"attributes": [int(number) for number in key.split(", ")], **known}


def _dependency(key: str, degree: float) -> dict[str, Any]:
    """Before 19, the name of a member was ``1, 2 => 3``."""
    by, _, what = key.partition(" => ")
    return _attributes(by, dependency=int(what), degree=degree)


def _places(found: Sequence[int], numbers: Sequence[int]) -> list[str | int]:
    """Expressions have numbers below 0."""
    return [f"%{numbers.index(number) + 1}$s" if number > 0 else number for number in found]


def clear(objects: Collection[ExtendedStatistics]) -> sql.Composable:
    """The statement that makes the target forget what it knows of some statistics objects."""
    names = (sql.SQL("({}, {})").format(sql.Literal(one.schema), sql.Literal(one.name)) for one in objects)
    return sql.SQL(_CLEAR).format(objects=sql.SQL(", ").join(names))


def call(schema: str, table: str, version: int, known: ExtendedStatistics) -> sql.Composable:
    """The query that gives the target what is known of a statistics object, and says whether it has taken all of it.

    Args:
        version: of the source's server.
    """
    names = {
        "schemaname": schema,
        "relname": table,
        "statistics_schemaname": known.schema,
        "statistics_name": known.name,
    }
    arguments = [
        sql.SQL("'version', {}::pg_catalog.int4").format(sql.Literal(version)),
        *(sql.SQL(f"'{name}', {{}}::pg_catalog.text").format(sql.Literal(value)) for name, value in names.items()),
        sql.SQL("'inherited', {}").format(sql.Literal(known.inherited)),
        *(_argument(*pair) for pair in known.known),
    ]
    return sql.SQL(_CALL).format(
        schema=sql.Literal(known.schema),
        name=sql.Literal(known.name),
        columns=sql.Literal(list(known.columns)),
        keys=sql.SQL(_KEYS),
        arguments=sql.SQL(", ").join(arguments),
    )


def _argument(name: str, value: str) -> sql.Composable:
    if name not in _DOCUMENTS:
        return sql.SQL(f"'{name}', {{}}::pg_catalog.{_TYPES[name]}").format(sql.Literal(value))
    # Users may have made a cast of text to one of these types.
    read = f"pg_catalog.{_DOCUMENTS[name]}(pg_catalog.textout(pg_catalog.format({{}}, VARIADIC there.numbers)))"
    return sql.SQL(f"'{name}', {read}").format(sql.Literal(value))
