-- What belongs to which extension: dependencies on a member are dependencies on its extension. Names are those that DDL uses
-- after the schema.
SELECT d.classid,
       d.objid,
       d.refobjid AS extension,
       e.extname AS extension_name,
       home.nspname AS extension_schema,
       n.nspname AS schema,
       member.name
  FROM pg_depend d
  JOIN pg_extension e ON e.oid = d.refobjid
  JOIN pg_namespace home ON home.oid = e.extnamespace
  -- A join with each of these catalogs would take the planner ten times as long.
  LEFT JOIN LATERAL (SELECT p.proname, p.pronamespace
                       FROM pg_proc p WHERE d.classid = 'pg_proc'::regclass AND p.oid = d.objid
                      UNION ALL
                     SELECT t.typname, t.typnamespace
                       FROM pg_type t WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid
                      UNION ALL
                     SELECT o.oprname, o.oprnamespace
                       FROM pg_operator o WHERE d.classid = 'pg_operator'::regclass AND o.oid = d.objid
                      UNION ALL
                     SELECT c.relname, c.relnamespace
                       FROM pg_class c WHERE d.classid = 'pg_class'::regclass AND c.oid = d.objid
                      UNION ALL
                     SELECT opc.opcname, opc.opcnamespace
                       FROM pg_opclass opc WHERE d.classid = 'pg_opclass'::regclass AND opc.oid = d.objid
                      UNION ALL
                     SELECT opf.opfname, opf.opfnamespace
                       FROM pg_opfamily opf WHERE d.classid = 'pg_opfamily'::regclass AND opf.oid = d.objid)
            AS member (name, namespace) ON true
  LEFT JOIN pg_namespace n ON n.oid = member.namespace
 WHERE d.deptype = 'e'
   AND d.refclassid = 'pg_extension'::regclass
