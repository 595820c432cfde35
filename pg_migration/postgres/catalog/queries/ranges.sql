-- Range types and, from 14 on, the name of their multirange type.
SELECT 'pg_type'::regclass::oid AS classid,
       t.oid AS objid,
       n.nspname AS schema,
       t.typname AS name,
       format('DROP TYPE IF EXISTS %s', t.oid::regtype) AS drop_statement,
       ARRAY[format('CREATE TYPE %s AS RANGE (SUBTYPE = %s%s%s%s%s%s)', t.oid::regtype,
                    format_type(r.rngsubtype, NULL),
                    ', MULTIRANGE_TYPE_NAME = '
                    || format_type(nullif(to_number(to_jsonb(r) ->> 'rngmultitypid', '9999999999')::bigint::oid, 0), NULL),
                    CASE WHEN NOT o.opcdefault THEN format(', SUBTYPE_OPCLASS = %I.%I', oper.nspname, o.opcname) END,
                    CASE WHEN r.rngcollation <> s.typcollation
                         THEN format(', COLLATION = %I.%I', cn.nspname, k.collname) END,
                    ', CANONICAL = ' || nullif(concat(r.rngcanonical), '-'),
                    ', SUBTYPE_DIFF = ' || nullif(concat(r.rngsubdiff), '-'))] AS statements,
       CASE WHEN r.rngcanonical <> 0 THEN format('CREATE TYPE %s', t.oid::regtype) END AS shell
  FROM pg_type t
  JOIN pg_namespace n ON n.oid = t.typnamespace
  JOIN pg_range r ON r.rngtypid = t.oid
  JOIN pg_type s ON s.oid = r.rngsubtype
  JOIN pg_opclass o ON o.oid = r.rngsubopc
  JOIN pg_namespace oper ON oper.oid = o.opcnamespace
  LEFT JOIN pg_collation k ON k.oid = r.rngcollation
  LEFT JOIN pg_namespace cn ON cn.oid = k.collnamespace
 WHERE n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid AND m.deptype = 'e')
