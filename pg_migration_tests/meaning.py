"""What a database means, asked in plain SQL: what every view shows, what is computed, which operators are behind it."""

import json
from collections.abc import Mapping

from pg_migration_tests.conftest import PostgresServer

# Of what users made; what belongs to an extension is its own.
_OWN = """
    NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '{catalog}'::regclass AND e.objid = {oid} AND e.deptype = 'e')
"""
_VIEWS = f"""
    SELECT 'view ' || c.oid::regclass AS what, format('SELECT v::text FROM %s AS v', c.oid::regclass) AS query
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE (c.relkind = 'v' OR c.relkind = 'm' AND c.relispopulated)
       AND n.nspname !~ '^(pg_|information_schema|_pg_migration)'
       AND has_table_privilege(c.oid, 'SELECT') AND {_OWN.format(catalog="pg_class", oid="c.oid")}
"""
_GENERATED = f"""
    SELECT 'generated columns of ' || c.oid::regclass AS what,
           format('SELECT ROW(%s)::text FROM ONLY %s AS v',
                  string_agg(format('v.%I', a.attname), ', ' ORDER BY a.attname), c.oid::regclass) AS query
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attgenerated <> '' AND NOT a.attisdropped
     WHERE c.relkind = 'r' AND {_OWN.format(catalog="pg_class", oid="c.oid")}
     GROUP BY c.oid
"""
_OPERATORS = """
    SELECT pg_describe_object(d.classid, d.objid, d.objsubid) || ' leans on ' || d.refobjid::regoperator
      FROM pg_depend d
     WHERE d.refclassid = 'pg_operator'::regclass AND d.refobjid >= 16384
       AND NOT EXISTS (SELECT FROM pg_depend e WHERE (e.classid, e.objid) = (d.classid, d.objid) AND e.deptype = 'e')
     ORDER BY 1
"""


def meaning_of(server: PostgresServer, url: str) -> Mapping[str, str]:
    """Digests of the rows of every view and of every table's generated columns, and the operators that objects use."""
    asked = server.psql(
        url, f"SELECT coalesce(json_object_agg(what, query), '{{}}') FROM ({_VIEWS} UNION ALL {_GENERATED}) x"
    )
    digests = " UNION ALL ".join(
        f"SELECT $what${what}$what$, (SELECT concat(count(*), ' ', md5(string_agg(r, E'\\n' ORDER BY r COLLATE \"C\")))"
        f" FROM ({query}) AS rows (r))"
        for what, query in sorted(json.loads(asked).items())
    )
    found = dict.fromkeys(filter(None, server.psql(url, _OPERATORS).split("\n")), "")
    return found | dict(line.split("|") for line in server.psql(url, digests).split("\n") if line) if digests else found
