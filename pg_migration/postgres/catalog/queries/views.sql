-- Views. A view's own SELECT rule is part of it. OR REPLACE, so that a view which reads itself can follow an empty shell of
-- it (the same columns, nothing read), and an empty shell can follow a view that is about to be dropped.
SELECT 'pg_class'::regclass::oid AS classid,
       c.oid AS objid,
       n.nspname AS schema,
       c.relname AS name,
       format('DROP VIEW IF EXISTS %s', c.oid::regclass) AS drop_statement,
       ARRAY[format('CREATE OR REPLACE VIEW %s%s AS %s', c.oid::regclass,
                    ' WITH (' || (SELECT string_agg(o.option_name || '=' || quote_literal(o.option_value), ', ')
                                    FROM pg_options_to_table(c.reloptions) o) || ')',
                    rtrim(pg_get_viewdef(c.oid), ';'))] AS statements,
       format('CREATE OR REPLACE VIEW %s AS SELECT %s', c.oid::regclass,
              (SELECT string_agg(format('NULL::%s%s AS %I', format_type(a.atttypid, a.atttypmod),
                                        CASE WHEN a.attcollation <> t.typcollation
                                             THEN format(' COLLATE %I.%I', cn.nspname, k.collname) END, a.attname),
                                 ', ' ORDER BY a.attnum)
                 FROM pg_attribute a
                 JOIN pg_type t ON t.oid = a.atttypid
                 LEFT JOIN pg_collation k ON k.oid = a.attcollation
                 LEFT JOIN pg_namespace cn ON cn.oid = k.collnamespace
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)) AS shell
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'v'
   AND c.relpersistence <> 't'
   AND n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid AND m.deptype = 'e')
