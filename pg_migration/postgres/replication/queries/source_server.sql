-- What a source has to offer to one more that follows it, and what the role may do there. Settings that a version lacks are NULL.
SELECT pg_catalog.pg_is_in_recovery(),
       pg_catalog.current_setting('wal_level'),
       pg_catalog.to_number(pg_catalog.current_setting('max_replication_slots'), '9999999999')::pg_catalog.int4,
       (SELECT pg_catalog.count(*)::pg_catalog.int4 FROM pg_catalog.pg_replication_slots),
       pg_catalog.to_number(pg_catalog.current_setting('max_wal_senders'), '9999999999')::pg_catalog.int4,
       (SELECT pg_catalog.count(*)::pg_catalog.int4 FROM pg_catalog.pg_stat_get_activity(NULL) a
         WHERE a.backend_type = 'walsender'),
       (SELECT pg_catalog.to_number(s.setting, '9999999999')::pg_catalog.int8 * CASE s.unit WHEN 'min' THEN 60 ELSE 1 END FROM pg_catalog.pg_settings s
         WHERE s.name = 'idle_replication_slot_timeout'),
       pg_catalog.current_setting('synchronized_standby_slots', true) = ''
       AND EXISTS (SELECT FROM pg_catalog.pg_replication_slots p WHERE p.slot_type = 'physical'),
       current_user::text,
       pg_catalog.current_database()::text,
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),
       ARRAY(SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname)
               FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
              WHERE c.oid = ANY (%(tables)s::pg_catalog.oid[]) AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')
              ORDER BY 1),
       ARRAY(SELECT DISTINCT pg_catalog.quote_ident(o.rolname)
               FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles o ON o.oid = c.relowner
              WHERE c.oid = ANY (%(tables)s::pg_catalog.oid[]) AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')
              ORDER BY 1),
       ARRAY(SELECT pg_catalog.format('%%I on %%I.%%I', t.tgname, n.nspname, c.relname)
               FROM pg_catalog.pg_trigger t
               JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
              WHERE c.oid = ANY (%(tables)s::pg_catalog.oid[]) AND NOT t.tgisinternal AND t.tgenabled IN ('A', 'R')
              ORDER BY 1),
       ARRAY(SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname)
               FROM pg_catalog.pg_class c
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               JOIN pg_catalog.pg_roles o ON o.oid = c.relowner
              WHERE c.oid = ANY (%(tables)s::pg_catalog.oid[]) AND c.relrowsecurity AND c.relforcerowsecurity
                AND NOT o.rolsuper AND NOT o.rolbypassrls
              ORDER BY 1)
