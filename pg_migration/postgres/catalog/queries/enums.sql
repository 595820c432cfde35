-- Enums, labels in their sort order (which need not be the order in which they were added).
SELECT 'pg_type'::regclass::oid AS classid,
       t.oid AS objid,
       n.nspname AS schema,
       t.typname AS name,
       format('DROP TYPE IF EXISTS %s', t.oid::regtype) AS drop_statement,
       ARRAY[format('CREATE TYPE %s AS ENUM (%s)', t.oid::regtype, array_to_string(labels.quoted, ', '))] AS statements,
       format('TYPE %s AS ENUM', t.oid::regtype) AS head,
       labels.quoted AS elements
  FROM pg_type t
 CROSS JOIN LATERAL (SELECT ARRAY(SELECT quote_literal(e.enumlabel)
                                    FROM pg_enum e
                                   WHERE e.enumtypid = t.oid
                                   ORDER BY e.enumsortorder)) AS labels (quoted)
  JOIN pg_namespace n ON n.oid = t.typnamespace
 WHERE t.typtype = 'e'
   AND n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid AND m.deptype = 'e')
