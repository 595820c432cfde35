-- Operators and functions that belong to a family without being part of a class.
WITH member AS (
    SELECT d.refobjid AS family, 'pg_amop'::regclass AS catalog, o.oid,
           format('OPERATOR %s', o.amopstrategy) AS head,
           format('(%s, %s)', format_type(o.amoplefttype, NULL), format_type(o.amoprighttype, NULL)) AS types,
           format(' %s%s', o.amopopr::regoperator,
                  (SELECT format(' FOR ORDER BY %I.%I', sn.nspname, s.opfname)
                     FROM pg_opfamily s
                     JOIN pg_namespace sn ON sn.oid = s.opfnamespace
                    WHERE s.oid = o.amopsortfamily)) AS tail
      FROM pg_depend d
      JOIN pg_amop o ON o.oid = d.objid
     WHERE d.classid = 'pg_amop'::regclass AND d.refclassid = 'pg_opfamily'::regclass
     UNION ALL
    SELECT d.refobjid, 'pg_amproc'::regclass, p.oid,
           format('FUNCTION %s', p.amprocnum),
           format('(%s, %s)', format_type(p.amproclefttype, NULL), format_type(p.amprocrighttype, NULL)),
           format(' (%s, %s) %s', format_type(p.amproclefttype, NULL), format_type(p.amprocrighttype, NULL),
                  p.amproc::oid::regprocedure)
      FROM pg_depend d
      JOIN pg_amproc p ON p.oid = d.objid
     WHERE d.classid = 'pg_amproc'::regclass AND d.refclassid = 'pg_opfamily'::regclass)
SELECT m.catalog::oid AS classid,
       m.oid AS objid,
       n.nspname AS schema,
       format('%s %s of %s USING %s', m.head, m.types, f.opfname, am.amname) AS name,
       format('ALTER OPERATOR FAMILY %I.%I USING %I DROP %s %s', n.nspname, f.opfname, am.amname, m.head, m.types)
           AS drop_statement,
       ARRAY[format('ALTER OPERATOR FAMILY %I.%I USING %I ADD %s%s', n.nspname, f.opfname, am.amname, m.head, m.tail)]
           AS statements
  FROM member m
  JOIN pg_opfamily f ON f.oid = m.family
  JOIN pg_namespace n ON n.oid = f.opfnamespace
  JOIN pg_am am ON am.oid = f.opfmethod
 WHERE n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend x
                    WHERE x.classid = 'pg_opfamily'::regclass AND x.objid = f.oid AND x.deptype = 'e')
