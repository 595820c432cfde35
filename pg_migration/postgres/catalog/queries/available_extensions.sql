-- The extensions that this server can make, with their versions, the default first.
SELECT v.name, array_agg(v.version ORDER BY v.version <> x.default_version, v.version) AS versions
  FROM pg_available_extension_versions v
  JOIN pg_available_extensions x ON x.name = v.name
 GROUP BY v.name
