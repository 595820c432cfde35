-- Comments on anything that may be migrated; those on other things are left out again. The server's own name for an object
-- (pg_identify_object) is what COMMENT ON takes, apart from the word for its kind.
SELECT d.classoid AS classid,
       d.objoid AS objid,
       d.objsubid AS objsubid,
       i.type || ' ' || CASE i.type WHEN 'schema' THEN quote_ident(mapped.target) ELSE i.identity END AS name,
       format('COMMENT ON %s %s IS ',
              CASE WHEN i.type LIKE '%column' THEN 'COLUMN'
                   WHEN i.type IN ('table constraint', 'domain constraint') THEN 'CONSTRAINT'
                   WHEN i.type = 'statistics object' THEN 'STATISTICS'
                   ELSE replace(upper(i.type), '-', ' ') END,
              CASE i.type WHEN 'domain constraint'
                          THEN regexp_replace(i.identity, '^("([^"]|"")*") on ', '\1 ON DOMAIN ')
                          WHEN 'schema' THEN quote_ident(mapped.target)
                          ELSE coalesce(routine.identity, i.identity) END) AS command,
       quote_literal(d.description) AS comment
  FROM pg_description d
 CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i
  LEFT JOIN LATERAL (SELECT format('%I.%I(%s)', n.nspname, p.proname,
                                   CASE WHEN p.prokind = 'a' AND p.pronargs = 0 THEN '*'
                                        ELSE pg_get_function_identity_arguments(p.oid) END)
                       FROM pg_proc p
                       JOIN pg_namespace n ON n.oid = p.pronamespace
                      WHERE d.classoid = 'pg_proc'::regclass AND p.oid = d.objoid) AS routine (identity) ON true
  LEFT JOIN unnest(parse_ident(current_setting('pg_migration.schemas')),
                   parse_ident(current_setting('pg_migration.target_schemas'))) AS mapped (source, target)
    ON i.type = 'schema' AND quote_ident(mapped.source) = i.identity
 WHERE (d.objoid >= 16384 AND d.classoid <> 'pg_extension'::regclass
        -- CREATE EXTENSION gives the comment of its control file.
        -- NOT IN, since that reads the control files once, and only where an extension has a comment.
        OR d.objoid >= 16384 AND d.classoid = 'pg_extension'::regclass AND (d.objoid, d.description) NOT IN (
           SELECT e.oid, a.comment
             FROM pg_available_extensions a
             JOIN pg_extension e ON e.extname = a.name
            WHERE a.comment IS NOT NULL)
        -- initdb gives this one to public.
        OR d.classoid = 'pg_namespace'::regclass AND d.description <> 'standard public schema')
   -- DROP SUBSCRIPTION leaves the comment, and before 14 pg_identify_object fails for what is no more. Everybody may read
   -- the view, but not the catalog.
   AND (d.classoid <> 'pg_subscription'::regclass OR d.objoid = ANY (ARRAY(SELECT subid FROM pg_stat_subscription)))
   AND (mapped.target IS NOT NULL OR i.type <> 'schema')
