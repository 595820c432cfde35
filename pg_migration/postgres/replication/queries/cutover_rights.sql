-- What a role needs to keep the writers of some tables (oids) waiting: its superuser's right, its right on the database,
-- to end sessions, and the tables that it may not lock in EXCLUSIVE mode.
SELECT me.rolsuper,
       pg_catalog.pg_has_role(d.datdba, 'USAGE'),
       pg_catalog.pg_has_role('pg_signal_backend'::pg_catalog.name, 'USAGE'),
       (SELECT coalesce(pg_catalog.array_agg(pg_catalog.format('%%I.%%I', n.nspname, c.relname) ORDER BY n.nspname, c.relname), '{}')
          FROM pg_catalog.unnest(%(tables)s::pg_catalog.oid[]) AS wanted (oid)
          JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) wanted.oid
          JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
         WHERE NOT (pg_catalog.has_table_privilege(c.oid, 'UPDATE') OR pg_catalog.has_table_privilege(c.oid, 'DELETE')
                    OR pg_catalog.has_table_privilege(c.oid, 'TRUNCATE')))
  FROM pg_catalog.pg_database d, pg_catalog.pg_roles me
 WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
   AND me.rolname OPERATOR(pg_catalog.=) current_user
