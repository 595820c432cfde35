-- The extensions that this server can make, with their versions, the default first; and whether this role may make the default.
-- Extensions that others than superusers may make came with 13.
SELECT v.name,
       array_agg(v.version ORDER BY v.version <> x.default_version, v.version) AS versions,
       coalesce(bool_or(me.rolsuper OR NOT v.superuser
                        OR to_jsonb(v) ->> 'trusted' = 'true' AND has_database_privilege(current_database(), 'CREATE'))
                FILTER (WHERE v.version = x.default_version), false) AS creatable
  FROM pg_available_extension_versions v
  JOIN pg_available_extensions x ON x.name = v.name
  JOIN pg_roles me ON me.rolname = current_user
 GROUP BY v.name
