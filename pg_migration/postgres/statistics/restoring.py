"""Give the planner of the target what the source's knows. PostgreSQL docs: "Statistics Manipulation Functions"."""

from collections.abc import Iterator, Sequence

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.statistics import extended
from pg_migration.postgres.statistics.source_statistics import ColumnStatistics, Known, Relation, TableStatistics

RESTORED_SINCE = 180000
NOT_ALL_TAKEN = "the target does not take all that the source knows"

_TYPES = {
    "relpages": "integer",
    "reltuples": "real",
    "relallvisible": "integer",
    "relallfrozen": "integer",
    "null_frac": "real",
    "avg_width": "integer",
    "n_distinct": "real",
    "most_common_freqs": "real[]",
    "correlation": "real",
    "most_common_elem_freqs": "real[]",
    "elem_count_histogram": "real[]",
    "range_empty_frac": "real",
}  # all others are texts

# What the target knows that the source does not would stay else.
_CLEAR = """
SELECT pg_catalog.pg_clear_attribute_stats(s.schemaname, s.tablename, s.attname, s.inherited)
  FROM pg_catalog.pg_stats s
 WHERE s.schemaname OPERATOR(pg_catalog.=) {schema} AND s.tablename OPERATOR(pg_catalog.=) ANY ({names})
"""
# An index that could not be built is told as such.
_THERE = """
EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
         WHERE n.nspname OPERATOR(pg_catalog.=) {schema} AND c.relname OPERATOR(pg_catalog.=) {name})
"""


def restore(connection: Connection, schema: str, tables: Sequence[TableStatistics]) -> bool:
    """Let the target know what the source knows of some tables of one schema, and no more; whether it took all of it.

    Raises:
        psycopg2.Error: it refused, such as to a role that does not own a table.
    """
    calls = [call for table in tables for call in _calls(schema, table)]
    if not calls:
        return True
    clear = sql.SQL(_CLEAR).format(schema=sql.Literal(schema), names=sql.Literal(_cleared(tables)))
    objects = [known for table in tables for known in table.extended]
    first = [clear, extended.clear(objects)] if objects else [clear]
    message = sql.SQL(";\n").join([*first, sql.SQL("\nUNION ALL\n").join(calls)])
    return all(taken for (taken,) in fetch(connection, message))


def _cleared(tables: Sequence[TableStatistics]) -> list[str]:
    """The relations whose columns are known here; of others the target keeps what it has."""
    own = [relation.name for table in tables for relation in table.relations if not relation.is_index]
    return [*own, *{column.relation for table in tables for column in table.columns if column.is_index}]


def _calls(schema: str, table: TableStatistics) -> Iterator[sql.Composable]:
    for relation in table.relations:
        yield _call("pg_restore_relation_stats", schema, relation, table.version, [], relation.known)
    for column in table.columns:
        which = _number(column) if column.is_index else _name(column)
        inherited = sql.SQL("'inherited', {}").format(sql.Literal(column.inherited))
        named = Relation(column.relation, column.is_index, ())
        yield _call("pg_restore_attribute_stats", schema, named, table.version, [which, inherited], column.known)
    own = next((relation.name for relation in table.relations if not relation.is_index), "")
    for known in table.extended:
        if known.known:
            yield extended.call(schema, own, table.version, known)


def _name(column: ColumnStatistics) -> sql.Composable:
    return sql.SQL("'attname', {}::pg_catalog.text").format(sql.Literal(column.name))


def _number(column: ColumnStatistics) -> sql.Composable:
    return sql.SQL("'attnum', {}::pg_catalog.int2").format(sql.Literal(column.number))


def _call(
    function: str, schema: str, relation: Relation, version: int, which: Sequence[sql.Composable], known: Known
) -> sql.Composable:
    names = sql.Literal(schema), sql.Literal(relation.name)
    arguments = [
        sql.SQL("'version', {}::pg_catalog.int4").format(sql.Literal(version)),
        sql.SQL("'schemaname', {}::pg_catalog.text, 'relname', {}::pg_catalog.text").format(*names),
        *which,
        *(_argument(name, value) for name, value in known),
    ]
    call = sql.SQL("SELECT pg_catalog.{}({})").format(sql.SQL(function), sql.SQL(", ").join(arguments))
    if not relation.is_index:
        return call
    there = sql.SQL(_THERE).format(schema=names[0], name=names[1])
    return sql.SQL("{} WHERE {}").format(call, there)


def _argument(name: str, value: str) -> sql.Composable:
    kind = sql.SQL(f"pg_catalog.{_NAMES[_TYPES.get(name, 'text')]}")
    return sql.SQL("{}, {}::{}").format(sql.Literal(name), sql.Literal(value), kind)


_NAMES = {"integer": "int4", "real": "float4", "real[]": "float4[]", "text": "text"}
