-- What this server has of some extensions (names): the version that is installed, the one that CREATE EXTENSION would
-- install, and whether that takes a superuser. Trusted extensions came with 13.
SELECT w.name, a.installed_version, a.default_version,
       coalesce((SELECT v.superuser AND NOT coalesce(to_jsonb(v) ->> 'trusted' = 'true', false)
                   FROM pg_available_extension_versions v
                  WHERE v.name = a.name AND v.version = a.default_version), false)
       AND NOT (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) AS needs_superuser
  FROM unnest(%(names)s::text[]) AS w (name)
  LEFT JOIN pg_available_extensions a ON a.name = w.name
 ORDER BY 1
