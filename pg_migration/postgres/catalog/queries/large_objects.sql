-- How many large objects a database has, and whether tables outside of the chosen schemas may refer to some of them: they
-- have columns of type oid, or of a domain over it (such as that of extension lo).
WITH RECURSIVE referring (type_oid) AS (
    SELECT 'oid'::regtype::oid
     UNION
    SELECT t.oid FROM pg_type t JOIN referring r ON t.typbasetype = r.type_oid
)
SELECT count(*) AS objects,
       EXISTS (
           SELECT FROM pg_attribute a
             JOIN referring r ON r.type_oid = a.atttypid
             JOIN pg_class c ON c.oid = a.attrelid
             JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE a.attnum > 0 AND NOT a.attisdropped AND c.oid >= 16384 AND c.relkind IN ('r', 'p')
              AND n.nspname <> ALL (parse_ident(current_setting('pg_migration.schemas')))
              AND n.nspname <> '_pg_migration' AND n.nspname !~ '^pg_(temp|toast)'
              AND NOT EXISTS (SELECT FROM pg_depend m
                               WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid AND m.deptype = 'e')
       ) AS referred_elsewhere
  FROM pg_largeobject_metadata
HAVING count(*) > 0
