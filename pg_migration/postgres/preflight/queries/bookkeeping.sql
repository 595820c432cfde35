-- Whether this role can keep the books: the schema is there and usable, or may be made.
SELECT current_user, current_database(), to_regnamespace('_pg_migration') IS NOT NULL AS there,
       CASE WHEN to_regnamespace('_pg_migration') IS NULL THEN has_database_privilege(current_database(), 'CREATE')
            ELSE has_schema_privilege('_pg_migration', 'USAGE')
                 AND coalesce((SELECT bool_and(has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
                                              AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))
                                FROM pg_class c
                                WHERE c.relnamespace = to_regnamespace('_pg_migration') AND c.relkind = 'r'), true) END AS usable
