-- ALTER ... DEPENDS ON EXTENSION: what goes when an extension is dropped, although it is no member of it.
SELECT d.classid,
       d.objid,
       e.oid AS extension,
       format('%s %s on %I', i.type, i.identity, e.extname) AS name,
       said.alter || format(' DEPENDS ON EXTENSION %I', e.extname) AS command,
       said.alter || format(' NO DEPENDS ON EXTENSION %I', e.extname) AS drop_statement
  FROM pg_depend d
  JOIN pg_extension e ON e.oid = d.refobjid
 CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) AS i
  LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
  LEFT JOIN pg_namespace pn ON pn.oid = p.pronamespace
  LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
  LEFT JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
 CROSS JOIN LATERAL (SELECT CASE WHEN p.oid IS NOT NULL
                                 THEN format('ALTER ROUTINE %I.%I(%s)', pn.nspname, p.proname,
                                             pg_get_function_identity_arguments(p.oid))
                                 WHEN c.relkind = 'm' THEN format('ALTER MATERIALIZED VIEW %s', c.oid::regclass)
                                 WHEN c.oid IS NOT NULL THEN format('ALTER INDEX %s', c.oid::regclass)
                                 ELSE format('ALTER TRIGGER %I ON %s', t.tgname, t.tgrelid::regclass) END AS alter) AS said
 WHERE d.refclassid = 'pg_extension'::regclass
   AND d.deptype = 'x'
