-- Of columns (an array of names) of one table: each quoted, and what reads it of another table so that it fits, whose types may
-- be others of the same names. It means the same under any search_path.
SELECT pg_catalog.quote_ident(a.attname),
       CASE WHEN o.atttypid OPERATOR(pg_catalog.<>) a.atttypid
            THEN pg_catalog.format('CAST(CAST(%%I AS pg_catalog.text) AS %%s)', a.attname,
                                   pg_catalog.format_type(a.atttypid, a.atttypmod))
            ELSE pg_catalog.quote_ident(a.attname) END
  FROM ROWS FROM (pg_catalog.unnest(%(columns)s::pg_catalog.text[])) WITH ORDINALITY AS w (name, place)
  JOIN pg_catalog.pg_attribute a
    ON a.attrelid OPERATOR(pg_catalog.=)
       pg_catalog.to_regclass(pg_catalog.format('%%I.%%I', %(schema)s, %(name)s))::pg_catalog.oid
   AND a.attname OPERATOR(pg_catalog.=) w.name
  LEFT JOIN pg_catalog.pg_attribute o
    ON o.attrelid OPERATOR(pg_catalog.=)
       pg_catalog.to_regclass(pg_catalog.format('%%I.%%I', %(origin_schema)s, %(origin_name)s))::pg_catalog.oid
   AND o.attname OPERATOR(pg_catalog.=) a.attname
 ORDER BY w.place
