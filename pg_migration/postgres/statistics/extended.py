"""What the source's planner knows of statistics objects (CREATE STATISTICS), which servers take from 19 on."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.sql_files import sql_file

RESTORED_SINCE = 190000

# Since when servers tell of expressions, of tables without what inherits from them, of ranges among expressions.
EXPRESSIONS_SINCE = 140000
INHERITED_SINCE = 150000
RANGES_SINCE = 190000

_TYPES = {
    "n_distinct": "pg_ndistinct",
    "dependencies": "pg_dependencies",
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
# The values follow the order of the columns, which the target may have otherwise; it may also lack the object.
_CALL = """
SELECT CASE WHEN (
    SELECT ARRAY(SELECT pg_catalog.concat(a.attnum, ' ', a.attname)
                   FROM pg_catalog.unnest(e.stxkeys::pg_catalog.int2[]) WITH ORDINALITY AS k (number, place)
                   JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) e.stxrelid
                                                 AND a.attnum OPERATOR(pg_catalog.=) k.number
                  ORDER BY k.place)
      FROM pg_catalog.pg_statistic_ext e
      JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.stxnamespace
     WHERE n.nspname OPERATOR(pg_catalog.=) {schema} AND e.stxname OPERATOR(pg_catalog.=) {name}
    ) OPERATOR(pg_catalog.=) {columns}::pg_catalog.text[]
    THEN pg_catalog.pg_restore_extended_stats({arguments}) ELSE false END
"""


@dataclass(frozen=True)
class ExtendedStatistics:
    """What is known of a statistics object, whose ``schema`` has the target's name; ``known`` as for a table.

    ``columns`` are their numbers and names. ``is_hidden``: the role may not read what is known.
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
    for table, schema, name, inherited, columns, known, is_hidden in rows:
        if schema in schemas:
            pairs = tuple((argument, _as_document(argument, value)) for argument, value in known)
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


def _as_document(argument: str, value: str) -> str:
    """As 19 writes what is known of several columns, whose numbers were names of members before."""
    if argument not in ("n_distinct", "dependencies") or value.startswith("["):
        return value
    found = json.loads(value)
    if argument == "n_distinct":
        return json.dumps([{"attributes": _numbers(key), "ndistinct": many} for key, many in found.items()])
    implied = [(*key.split(" => "), degree) for key, degree in found.items()]
    return json.dumps(
        [{"attributes": _numbers(by), "dependency": int(what), "degree": degree} for by, what, degree in implied]
    )


def _numbers(key: str) -> list[int]:
    return [int(number) for number in key.split(", ")]


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
        *(
            sql.SQL(f"'{name}', {{}}::pg_catalog.{_TYPES[name]}").format(sql.Literal(value))
            for name, value in known.known
        ),
    ]
    return sql.SQL(_CALL).format(
        schema=sql.Literal(known.schema),
        name=sql.Literal(known.name),
        columns=sql.Literal(list(known.columns)),
        arguments=sql.SQL(", ").join(arguments),
    )
