-- Everything that is called like this program outside its one schema.
SELECT 'schema' AS kind, n.nspname AS name FROM pg_namespace n
WHERE n.nspname ~ '^_?pg_migration' AND n.nspname <> '_pg_migration'
UNION ALL
SELECT 'relation', format('%%I.%%I', n.nspname, c.relname)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname ~ '^_?pg_migration' AND n.nspname <> '_pg_migration'
UNION ALL
SELECT 'function', format('%%I.%%I', n.nspname, p.proname)
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.proname ~ '^_?pg_migration' AND n.nspname <> '_pg_migration'
UNION ALL
SELECT 'event trigger', e.evtname FROM pg_event_trigger e WHERE e.evtname ~ '^_?pg_migration'
ORDER BY 1, 2
