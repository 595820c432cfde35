-- Rewrite rules, besides the one that makes a view a view.
SELECT 'pg_rewrite'::regclass::oid AS classid,
       r.oid AS objid,
       n.nspname AS schema,
       r.rulename AS name,
       c.oid AS relation,
       format('DROP RULE IF EXISTS %I ON %s', r.rulename, c.oid::regclass) AS drop_statement,
       ARRAY[rtrim(pg_get_ruledef(r.oid), ';')]
       || CASE r.ev_enabled
               WHEN 'D' THEN ARRAY[format('ALTER TABLE %s DISABLE RULE %I', c.oid::regclass, r.rulename)]
               WHEN 'A' THEN ARRAY[format('ALTER TABLE %s ENABLE ALWAYS RULE %I', c.oid::regclass, r.rulename)]
               WHEN 'R' THEN ARRAY[format('ALTER TABLE %s ENABLE REPLICA RULE %I', c.oid::regclass, r.rulename)]
               ELSE ARRAY[]::text[] END AS statements
  FROM pg_rewrite r
  JOIN pg_class c ON c.oid = r.ev_class
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT (r.rulename = '_RETURN' AND c.relkind IN ('v', 'm'))
   AND c.relpersistence <> 't'
   AND n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_rewrite'::regclass AND m.objid = r.oid AND m.deptype = 'e')
