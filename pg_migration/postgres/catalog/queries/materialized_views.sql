-- Materialized views, made without rows; those that hold rows are refreshed once their inputs are there.
SELECT 'pg_class'::regclass::oid AS classid,
       c.oid AS objid,
       n.nspname AS schema,
       c.relname AS name,
       format('DROP MATERIALIZED VIEW IF EXISTS %s', c.oid::regclass) AS drop_statement,
       format('CREATE MATERIALIZED VIEW %s%s%s AS %s WITH NO DATA', c.oid::regclass,
              CASE WHEN am.amname <> 'heap' THEN format(' USING %I', am.amname) END,
              ' WITH (' || (SELECT string_agg(option, ', ')
                              FROM (SELECT o.option_name || '=' || quote_literal(o.option_value)
                                      FROM pg_options_to_table(c.reloptions) o
                                     UNION ALL
                                    SELECT 'toast.' || o.option_name || '=' || quote_literal(o.option_value)
                                      FROM pg_options_to_table(toast.reloptions) o) AS x (option)) || ')',
              rtrim(pg_get_viewdef(c.oid), ';')) AS definition,
       ARRAY(SELECT format('ALTER MATERIALIZED VIEW %s ALTER COLUMN %I SET %s', c.oid::regclass, a.attname, x.clause)
               FROM pg_attribute a
               JOIN pg_type t ON t.oid = a.atttypid
              CROSS JOIN LATERAL (VALUES
                    (1, CASE WHEN a.attstorage <> t.typstorage
                             THEN 'STORAGE ' || CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL'
                                                                  WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END END),
                    (2, 'STATISTICS ' || nullif(concat(nullif(a.attstattarget, -1)), '')),
                    (3, '(' || array_to_string(a.attoptions, ', ') || ')')) AS x (number, clause)
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND x.clause IS NOT NULL
              ORDER BY a.attnum, x.number) AS alterations,
       ARRAY(SELECT ARRAY[concat(a.attnum), a.attname, x.method,
                          format('ALTER MATERIALIZED VIEW %s ALTER COLUMN %I SET COMPRESSION %s', c.oid::regclass,
                                 a.attname, x.method)]
               FROM pg_attribute a
              CROSS JOIN LATERAL (SELECT CASE to_jsonb(a) ->> 'attcompression' WHEN 'p' THEN 'pglz'
                                                                               WHEN 'l' THEN 'lz4' END) AS x (method)
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND x.method IS NOT NULL
              ORDER BY a.attnum) AS compressions,
       CASE WHEN c.relispopulated THEN format('REFRESH MATERIALIZED VIEW %s', c.oid::regclass) END AS refresh
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_am am ON am.oid = c.relam
  LEFT JOIN pg_class toast ON toast.oid = c.reltoastrelid
 WHERE c.relkind = 'm'
   AND n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid AND m.deptype = 'e')
