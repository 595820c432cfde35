-- What a target has to offer to one more subscription, and what the role may do there; which tables that are only there refer
-- to some. What follows is counted by the origins that are known: each subscription has one.
SELECT pg_catalog.to_number(pg_catalog.current_setting('max_logical_replication_workers'), '9999999999')::pg_catalog.int4,
       (SELECT pg_catalog.count(*)::pg_catalog.int4 FROM pg_catalog.pg_stat_get_activity(NULL) a
         WHERE a.backend_type LIKE 'logical replication%%' AND a.backend_type NOT LIKE '%%launcher'),
       pg_catalog.to_number(coalesce(pg_catalog.current_setting('max_active_replication_origins', true),
                                     pg_catalog.current_setting('max_replication_slots')), '9999999999')::pg_catalog.int4,
       (SELECT pg_catalog.count(*)::pg_catalog.int4 FROM pg_catalog.pg_replication_origin),
       current_user::text,
       pg_catalog.current_database()::text,
       (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user),
       coalesce((SELECT pg_catalog.pg_has_role(r.oid, 'USAGE') FROM pg_catalog.pg_roles r
                  WHERE r.rolname = 'pg_create_subscription'), false),
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),
       ARRAY(SELECT DISTINCT pg_catalog.format('%%I.%%I (to %%I.%%I)', n.nspname, c.relname, tn.nspname, t.relname)
               FROM pg_catalog.pg_constraint f
               JOIN pg_catalog.pg_class c ON c.oid = f.conrelid
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               JOIN pg_catalog.pg_class t ON t.oid = f.confrelid
               JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
               JOIN ROWS FROM (pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[]))
                    AS ours (schema, name) ON (ours.schema, ours.name) = (tn.nspname, t.relname)
              WHERE f.contype = 'f' AND f.conparentid = 0
                AND NOT EXISTS (
                        SELECT FROM ROWS FROM (pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[]))
                               AS theirs (schema, name) WHERE (theirs.schema, theirs.name) = (n.nspname, c.relname))
              ORDER BY 1)
