-- Transforms for procedural languages. They have no schema; one for a type, and with functions, from elsewhere is left out
-- again when nothing migrated uses it, unless the whole database is migrated.
SELECT 'pg_transform'::regclass::oid AS classid,
       x.oid AS objid,
       '' AS schema,
       format('%s for %s', format_type(t.oid, NULL), l.lanname) AS name,
       format('DROP TRANSFORM IF EXISTS FOR %s LANGUAGE %I', format_type(t.oid, NULL), l.lanname) AS drop_statement,
       ARRAY[format('CREATE TRANSFORM FOR %s LANGUAGE %I (%s)', format_type(t.oid, NULL), l.lanname,
                    concat_ws(', ', 'FROM SQL WITH FUNCTION ' || nullif(concat(x.trffromsql::oid::regprocedure), '-'),
                              'TO SQL WITH FUNCTION ' || nullif(concat(x.trftosql::oid::regprocedure), '-')))] AS statements,
       coalesce(current_setting('pg_migration.whole', true), '') <> 'on'
       AND NOT EXISTS (SELECT FROM pg_namespace n
                    WHERE n.oid IN (t.typnamespace, f.pronamespace, g.pronamespace)
                      AND n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))) AS only_if_used
  FROM pg_transform x
  JOIN pg_type t ON t.oid = x.trftype
  JOIN pg_language l ON l.oid = x.trflang
  LEFT JOIN pg_proc f ON f.oid = x.trffromsql
  LEFT JOIN pg_proc g ON g.oid = x.trftosql
 WHERE x.oid >= 16384
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_transform'::regclass AND m.objid = x.oid AND m.deptype = 'e')
