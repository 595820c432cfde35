-- Owners. What belongs to something else, such as the sequence of a column or the row type of a table, follows it.
WITH owned AS (
    SELECT 'pg_namespace'::regclass AS catalog, n.oid, n.nspowner AS owner
      FROM pg_namespace n
     WHERE n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
     UNION ALL
    SELECT 'pg_class'::regclass, c.oid, c.relowner
      FROM pg_class c
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
        OR c.relkind = 'S' AND NOT EXISTS (SELECT FROM pg_depend d
                                            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                                              AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
                                              AND d.deptype IN ('a', 'i'))
     UNION ALL
    SELECT 'pg_type'::regclass, t.oid, t.typowner
      FROM pg_type t
     WHERE t.typtype IN ('d', 'e', 'r')
        OR t.typtype = 'b' AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
        OR t.typtype = 'c' AND (SELECT c.relkind FROM pg_class c WHERE c.oid = t.typrelid) = 'c'
     UNION ALL
    SELECT 'pg_proc'::regclass, p.oid, p.proowner FROM pg_proc p
     UNION ALL
    SELECT 'pg_language'::regclass, l.oid, l.lanowner FROM pg_language l
     UNION ALL
    SELECT 'pg_operator'::regclass, o.oid, o.oprowner FROM pg_operator o WHERE o.oprcode <> 0
     UNION ALL
    SELECT 'pg_opclass'::regclass, o.oid, o.opcowner FROM pg_opclass o
     UNION ALL
    SELECT 'pg_opfamily'::regclass, o.oid, o.opfowner FROM pg_opfamily o
     UNION ALL
    SELECT 'pg_collation'::regclass, c.oid, c.collowner FROM pg_collation c
     UNION ALL
    SELECT 'pg_conversion'::regclass, c.oid, c.conowner FROM pg_conversion c
     UNION ALL
    SELECT 'pg_statistic_ext'::regclass, s.oid, s.stxowner FROM pg_statistic_ext s
     UNION ALL
    SELECT 'pg_ts_dict'::regclass, d.oid, d.dictowner FROM pg_ts_dict d
     UNION ALL
    SELECT 'pg_ts_config'::regclass, c.oid, c.cfgowner FROM pg_ts_config c
     UNION ALL
    SELECT 'pg_publication'::regclass, p.oid, p.pubowner FROM pg_publication p
     UNION ALL
    SELECT 'pg_foreign_data_wrapper'::regclass, w.oid, w.fdwowner FROM pg_foreign_data_wrapper w
     UNION ALL
    SELECT 'pg_foreign_server'::regclass, s.oid, s.srvowner FROM pg_foreign_server s
     UNION ALL
    SELECT 'pg_event_trigger'::regclass, e.oid, e.evtowner FROM pg_event_trigger e)
SELECT o.catalog::oid AS classid,
       o.oid AS objid,
       i.type || ' ' || CASE i.type WHEN 'schema' THEN quote_ident(mapped.target) ELSE i.identity END AS name,
       pg_get_userbyid(o.owner)::text AS role,
       format('ALTER %s %s OWNER TO %I',
              CASE i.type WHEN 'statistics object' THEN 'STATISTICS' ELSE replace(upper(i.type), '-', ' ') END,
              CASE WHEN i.type = 'schema' THEN quote_ident(mapped.target)
                   -- Types alone do not tell two procedures apart that differ in OUT arguments, and an aggregate's may
                   -- hold ORDER BY.
                   WHEN o.catalog = 'pg_proc'::regclass
                   THEN (SELECT format('%I.%I(%s)', n.nspname, p.proname,
                                       CASE WHEN p.prokind = 'a' AND p.pronargs = 0 THEN '*'
                                            ELSE pg_get_function_identity_arguments(p.oid) END)
                           FROM pg_proc p
                           JOIN pg_namespace n ON n.oid = p.pronamespace
                          WHERE p.oid = o.oid)
                   ELSE i.identity END,
              pg_get_userbyid(o.owner)) AS command
  FROM owned o
 CROSS JOIN LATERAL pg_identify_object(o.catalog, o.oid, 0) AS i
  LEFT JOIN unnest(parse_ident(current_setting('pg_migration.schemas')),
                   parse_ident(current_setting('pg_migration.target_schemas'))) AS mapped (source, target)
    ON i.type = 'schema' AND quote_ident(mapped.source) = i.identity
 WHERE (o.oid >= 16384 OR o.catalog = 'pg_namespace'::regclass)
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = o.catalog AND m.objid = o.oid
                      -- The functions that make a range are inside the type.
                      AND (m.deptype = 'e' OR m.deptype = 'i' AND m.classid = 'pg_proc'::regclass))
