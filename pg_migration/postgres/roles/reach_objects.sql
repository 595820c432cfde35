-- What is in some schemas (an array of names), the schemas and all extensions, and belongs to roles whose rights this role
-- does not have.
WITH chosen AS (
    SELECT n.oid, n.nspowner FROM pg_catalog.pg_namespace n
     WHERE n.nspname OPERATOR(pg_catalog.=) ANY (%(schemas)s::pg_catalog.text[])),
found (classid, objid, owner) AS (
    SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass, oid, nspowner FROM chosen
     UNION ALL
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid, c.relowner
      FROM pg_catalog.pg_class c JOIN chosen n ON n.oid = c.relnamespace
     UNION ALL
    SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid, t.typowner
      FROM pg_catalog.pg_type t JOIN chosen n ON n.oid = t.typnamespace
     UNION ALL
    SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, p.proowner
      FROM pg_catalog.pg_proc p JOIN chosen n ON n.oid = p.pronamespace
     UNION ALL
    SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, o.oid, o.oprowner
      FROM pg_catalog.pg_operator o JOIN chosen n ON n.oid = o.oprnamespace
     UNION ALL
    SELECT 'pg_catalog.pg_opclass'::pg_catalog.regclass, o.oid, o.opcowner
      FROM pg_catalog.pg_opclass o JOIN chosen n ON n.oid = o.opcnamespace
     UNION ALL
    SELECT 'pg_catalog.pg_opfamily'::pg_catalog.regclass, o.oid, o.opfowner
      FROM pg_catalog.pg_opfamily o JOIN chosen n ON n.oid = o.opfnamespace
     UNION ALL
    SELECT 'pg_catalog.pg_collation'::pg_catalog.regclass, c.oid, c.collowner
      FROM pg_catalog.pg_collation c JOIN chosen n ON n.oid = c.collnamespace
     UNION ALL
    SELECT 'pg_catalog.pg_conversion'::pg_catalog.regclass, c.oid, c.conowner
      FROM pg_catalog.pg_conversion c JOIN chosen n ON n.oid = c.connamespace
     UNION ALL
    SELECT 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, s.oid, s.stxowner
      FROM pg_catalog.pg_statistic_ext s JOIN chosen n ON n.oid = s.stxnamespace
     UNION ALL
    SELECT 'pg_catalog.pg_ts_dict'::pg_catalog.regclass, d.oid, d.dictowner
      FROM pg_catalog.pg_ts_dict d JOIN chosen n ON n.oid = d.dictnamespace
     UNION ALL
    SELECT 'pg_catalog.pg_ts_config'::pg_catalog.regclass, c.oid, c.cfgowner
      FROM pg_catalog.pg_ts_config c JOIN chosen n ON n.oid = c.cfgnamespace
     UNION ALL
    SELECT 'pg_catalog.pg_language'::pg_catalog.regclass, l.oid, l.lanowner FROM pg_catalog.pg_language l
     UNION ALL
    SELECT 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass, w.oid, w.fdwowner
      FROM pg_catalog.pg_foreign_data_wrapper w
     UNION ALL
    SELECT 'pg_catalog.pg_foreign_server'::pg_catalog.regclass, s.oid, s.srvowner FROM pg_catalog.pg_foreign_server s
     UNION ALL
    SELECT 'pg_catalog.pg_publication'::pg_catalog.regclass, p.oid, p.pubowner FROM pg_catalog.pg_publication p
     UNION ALL
    SELECT 'pg_catalog.pg_event_trigger'::pg_catalog.regclass, e.oid, e.evtowner FROM pg_catalog.pg_event_trigger e
     UNION ALL
    SELECT 'pg_catalog.pg_extension'::pg_catalog.regclass, e.oid, coalesce(p.proowner, c.relowner, t.typowner)
      FROM pg_catalog.pg_extension e
      JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid
       AND d.deptype = 'e'
      LEFT JOIN pg_catalog.pg_proc p ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = d.objid
      LEFT JOIN pg_catalog.pg_class c ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = d.objid
      LEFT JOIN pg_catalog.pg_type t ON d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND t.oid = d.objid)
SELECT DISTINCT f.classid::pg_catalog.oid, f.objid, pg_catalog.pg_get_userbyid(f.owner)::pg_catalog.text
  FROM found f
 WHERE NOT pg_catalog.pg_has_role(f.owner, 'USAGE')
