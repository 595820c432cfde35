-- Stand-alone composite types (a table's row type comes with the table).
SELECT 'pg_type'::regclass::oid AS classid,
       t.oid AS objid,
       n.nspname AS schema,
       t.typname AS name,
       format('DROP TYPE IF EXISTS %s', t.oid::regtype) AS drop_statement,
       ARRAY[format('CREATE TYPE %s AS (%s)', t.oid::regtype, array_to_string(attributes.said, ', '))] AS statements,
       format('TYPE %s AS', t.oid::regtype) AS head,
       attributes.said AS elements
  FROM pg_type t
  JOIN pg_namespace n ON n.oid = t.typnamespace
  JOIN pg_class c ON c.oid = t.typrelid AND c.relkind = 'c'
 CROSS JOIN LATERAL (SELECT ARRAY(SELECT format('%I %s%s', a.attname, format_type(a.atttypid, a.atttypmod),
                                                CASE WHEN a.attcollation <> y.typcollation
                                                     THEN format(' COLLATE %I.%I', cn.nspname, k.collname) END)
                                    FROM pg_attribute a
                                    JOIN pg_type y ON y.oid = a.atttypid
                                    LEFT JOIN pg_collation k ON k.oid = a.attcollation
                                    LEFT JOIN pg_namespace cn ON cn.oid = k.collnamespace
                                   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                                   ORDER BY a.attnum)) AS attributes (said)
 WHERE n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid AND m.deptype = 'e')
