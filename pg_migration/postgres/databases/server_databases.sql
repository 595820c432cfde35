-- The databases of a server that hold something of people's, whatever the version: what it knows besides is in the row.
SELECT d.datname,
       pg_catalog.pg_encoding_to_char(d.encoding),
       pg_catalog.has_database_privilege(d.oid, 'CONNECT'),
       pg_catalog.to_jsonb(d)
  FROM pg_catalog.pg_database d
 WHERE d.datallowconn AND NOT d.datistemplate
 ORDER BY d.datname
