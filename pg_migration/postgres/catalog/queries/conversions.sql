-- Conversions between encodings.
SELECT 'pg_conversion'::regclass::oid AS classid,
       c.oid AS objid,
       n.nspname AS schema,
       c.conname AS name,
       format('DROP CONVERSION IF EXISTS %I.%I', n.nspname, c.conname) AS drop_statement,
       ARRAY[format('CREATE %sCONVERSION %I.%I FOR %L TO %L FROM %s', CASE WHEN c.condefault THEN 'DEFAULT ' END,
                    n.nspname, c.conname, pg_encoding_to_char(c.conforencoding), pg_encoding_to_char(c.contoencoding),
                    c.conproc)] AS statements
  FROM pg_conversion c
  JOIN pg_namespace n ON n.oid = c.connamespace
 WHERE n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_conversion'::regclass AND m.objid = c.oid AND m.deptype = 'e')
