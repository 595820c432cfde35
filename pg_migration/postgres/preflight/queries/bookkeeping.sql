-- Whether this role can keep the books: the schema is there and usable, or may be made; whose it is; and whether the role may
-- change the tables that are there (docs: ALTER TABLE, "You must own the table") and add others, which upgrades do.
SELECT current_user, current_database(), n.oid IS NOT NULL AS there,
       pg_get_userbyid(n.nspowner) AS owner,
       CASE WHEN n.oid IS NULL THEN has_database_privilege(current_database(), 'CREATE')
            ELSE has_schema_privilege(n.oid, 'USAGE')
                 AND (SELECT coalesce(bool_and(has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
                                               AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE')),
                                      true)
                        FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind = 'r') END AS usable,
       n.oid IS NULL
       OR has_schema_privilege(n.oid, 'CREATE')
          AND (SELECT coalesce(bool_and(pg_has_role(c.relowner, 'USAGE')), true)
                 FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind = 'r') AS upgradable
  FROM (SELECT) AS always
  LEFT JOIN pg_namespace n ON n.nspname = '_pg_migration'
