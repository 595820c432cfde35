-- What belongs to which extension: dependencies on a member are dependencies on its extension. Names are those that DDL uses
-- after the schema.
SELECT d.classid,
       d.objid,
       d.refobjid AS extension,
       e.extname AS extension_name,
       home.nspname AS extension_schema,
       n.nspname AS schema,
       coalesce(p.proname, t.typname, o.oprname, c.relname, opc.opcname, opf.opfname) AS name
  FROM pg_depend d
  JOIN pg_extension e ON e.oid = d.refobjid
  JOIN pg_namespace home ON home.oid = e.extnamespace
  LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
  LEFT JOIN pg_type t ON d.classid = 'pg_type'::regclass AND t.oid = d.objid
  LEFT JOIN pg_operator o ON d.classid = 'pg_operator'::regclass AND o.oid = d.objid
  LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
  LEFT JOIN pg_opclass opc ON d.classid = 'pg_opclass'::regclass AND opc.oid = d.objid
  LEFT JOIN pg_opfamily opf ON d.classid = 'pg_opfamily'::regclass AND opf.oid = d.objid
  LEFT JOIN pg_namespace n ON n.oid = coalesce(p.pronamespace, t.typnamespace, o.oprnamespace, c.relnamespace,
                                               opc.opcnamespace, opf.opfnamespace)
 WHERE d.deptype = 'e'
   AND d.refclassid = 'pg_extension'::regclass
