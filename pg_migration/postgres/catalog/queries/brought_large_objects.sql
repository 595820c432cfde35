-- Whether earlier migrations brought large objects here.
SELECT l.loid AS oid FROM _pg_migration.large_object l LIMIT 1
