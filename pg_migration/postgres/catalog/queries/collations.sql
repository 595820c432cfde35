-- Collations. The locale of an ICU collation is in collcollate before 15, in colliculocale in 15 and 16, in colllocale from
-- 17 on; rules came with 16. The version is left to the target, whose libraries sort there.
SELECT 'pg_collation'::regclass::oid AS classid,
       c.oid AS objid,
       n.nspname AS schema,
       c.collname AS name,
       format('DROP COLLATION IF EXISTS %I.%I', n.nspname, c.collname) AS drop_statement,
       ARRAY[format('CREATE COLLATION %I.%I (%s)', n.nspname, c.collname,
                    concat_ws(', ',
                              'PROVIDER = ' || CASE c.collprovider WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu'
                                                                   WHEN 'b' THEN 'builtin' WHEN 'd' THEN 'default' END,
                              CASE WHEN NOT c.collisdeterministic THEN 'DETERMINISTIC = false' END,
                              CASE WHEN c.collprovider IN ('i', 'b')
                                   THEN 'LOCALE = ' || quote_literal(coalesce(to_jsonb(c) ->> 'colllocale',
                                                                              to_jsonb(c) ->> 'colliculocale',
                                                                              c.collcollate))
                                   WHEN c.collcollate = c.collctype THEN 'LOCALE = ' || quote_literal(c.collcollate)
                                   ELSE format('LC_COLLATE = %L, LC_CTYPE = %L', c.collcollate, c.collctype) END,
                              'RULES = ' || quote_literal(to_jsonb(c) ->> 'collicurules')))] AS statements
  FROM pg_collation c
  JOIN pg_namespace n ON n.oid = c.collnamespace
 WHERE n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_collation'::regclass AND m.objid = c.oid AND m.deptype = 'e')
