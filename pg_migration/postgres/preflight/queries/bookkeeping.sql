-- Whether this role can keep the books: the schema is there and usable, or may be made; and whose it is. What a run adds to
-- them asks for CREATE, also where it is there (docs: CREATE TABLE, IF NOT EXISTS).
SELECT current_user, current_database(), to_regnamespace('_pg_migration') IS NOT NULL AS there,
       (SELECT pg_get_userbyid(n.nspowner) FROM pg_namespace n WHERE n.nspname = '_pg_migration') AS owner,
       CASE WHEN to_regnamespace('_pg_migration') IS NULL THEN has_database_privilege(current_database(), 'CREATE')
            ELSE has_schema_privilege('_pg_migration', 'USAGE') AND has_schema_privilege('_pg_migration', 'CREATE')
                 AND coalesce((SELECT bool_and(has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
                                              AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))
                                FROM pg_class c
                                WHERE c.relnamespace = to_regnamespace('_pg_migration') AND c.relkind = 'r'), true) END AS usable
