"""Objects that are part of PostgreSQL, of which every version has its own."""

import re
from collections.abc import Iterable

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import fetch

_NAMED = re.compile(r"(function|procedure|table column|view column|table|view|type) (.*)", re.DOTALL)
_LACKING = """
SELECT w.name
  FROM ROWS FROM (pg_catalog.unnest(%s::pg_catalog.text[]), pg_catalog.unnest(%s::pg_catalog.text[]),
                  pg_catalog.unnest(%s::pg_catalog.text[])) AS w (name, kind, identity)
 WHERE CASE WHEN w.kind OPERATOR(pg_catalog.=) ANY ('{function,procedure}'::pg_catalog.text[])
            THEN pg_catalog.to_regprocedure(w.identity) IS NULL
            WHEN w.kind OPERATOR(pg_catalog.=) 'type' THEN pg_catalog.to_regtype(w.identity) IS NULL
            WHEN w.kind OPERATOR(pg_catalog.=) ANY ('{table,view}'::pg_catalog.text[])
            THEN pg_catalog.to_regclass(w.identity) IS NULL
            ELSE NOT EXISTS (
                SELECT FROM pg_catalog.pg_attribute a
                  JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) a.attrelid
                  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
                 WHERE ARRAY[n.nspname, c.relname, a.attname]::pg_catalog.text[]
                       OPERATOR(pg_catalog.=) pg_catalog.parse_ident(w.identity)) END
"""


def lacking(connection: Connection, names: Iterable[str]) -> frozenset[str]:
    """Those of some objects that a server does not have; each is named as `pg_identify_object` does, its kind first.

    Objects of kinds that no version lacks are not looked for.
    """
    found = [(match[0], match[1], match[2]) for match in map(_NAMED.fullmatch, names) if match]
    if not found:
        return frozenset()
    return frozenset(name for (name,) in fetch(connection, _LACKING, list(map(list, zip(*found, strict=True)))))
