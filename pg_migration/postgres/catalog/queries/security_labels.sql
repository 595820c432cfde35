-- Security labels on anything that may be migrated; those on other things are left out again.
SELECT l.classoid AS classid,
       l.objoid AS objid,
       l.objsubid AS objsubid,
       l.provider,
       concat(i.type, ' ', CASE i.type WHEN 'schema' THEN quote_ident(mapped.target) ELSE i.identity END) AS name,
       format('SECURITY LABEL FOR %I ON %s %s IS ', l.provider,
              CASE WHEN i.type LIKE '%column' THEN 'COLUMN' ELSE replace(upper(i.type), '-', ' ') END,
              CASE i.type WHEN 'schema' THEN quote_ident(mapped.target)
                          ELSE coalesce(routine.identity, i.identity) END) AS command,
       quote_literal(l.label) AS label
  FROM pg_seclabel l
 CROSS JOIN LATERAL pg_identify_object(l.classoid, l.objoid, l.objsubid) AS i
  LEFT JOIN LATERAL (SELECT format('%I.%I(%s)', n.nspname, p.proname,
                                   CASE WHEN p.prokind = 'a' AND p.pronargs = 0 THEN '*'
                                        ELSE pg_get_function_identity_arguments(p.oid) END)
                       FROM pg_proc p
                       JOIN pg_namespace n ON n.oid = p.pronamespace
                      WHERE l.classoid = 'pg_proc'::regclass AND p.oid = l.objoid) AS routine (identity) ON true
  LEFT JOIN unnest(parse_ident(current_setting('pg_migration.schemas')),
                   parse_ident(current_setting('pg_migration.target_schemas'))) AS mapped (source, target)
    ON i.type = 'schema' AND quote_ident(mapped.source) = i.identity
 WHERE (l.objoid >= 16384 OR l.classoid = 'pg_namespace'::regclass)
   AND l.classoid <> 'pg_largeobject'::regclass
   AND (mapped.target IS NOT NULL OR i.type <> 'schema')
