-- Tables and sequences of extensions whose contents are the users' (PostgreSQL docs: "Extension Configuration Tables"), as
-- far as the condition says.
SELECT e.oid AS extension,
       e.extname AS extension_name,
       c.oid AS relation,
       n.nspname AS schema,
       c.relname AS name,
       c.relkind AS kind,
       configuration.condition AS condition,
       ARRAY(SELECT a.attname::text
               FROM pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
              ORDER BY a.attnum) AS columns,
       ARRAY(SELECT a.attname::text
               FROM pg_constraint k
               JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
              WHERE k.conrelid = c.oid AND k.contype = 'p'
              ORDER BY a.attnum) AS key,
       ARRAY(SELECT DISTINCT k.confrelid::bigint
               FROM pg_constraint k
              WHERE k.conrelid = c.oid AND k.contype = 'f') AS referenced,
       ARRAY(SELECT ARRAY[t.tgname::text, t.tgenabled::text]
               FROM pg_trigger t
              WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D'
              ORDER BY t.tgname) AS triggers
  FROM pg_extension e
 CROSS JOIN LATERAL unnest(e.extconfig, e.extcondition) AS configuration (relation, condition)
  JOIN pg_class c ON c.oid = configuration.relation
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'S')
 ORDER BY e.extname, n.nspname, c.relname
