-- Operator classes, with the operators and functions that pg_depend ties to the class and not to its family alone.
SELECT 'pg_opclass'::regclass::oid AS classid,
       c.oid AS objid,
       n.nspname AS schema,
       format('%s USING %s', c.opcname, am.amname) AS name,
       format('DROP OPERATOR CLASS IF EXISTS %I.%I USING %I', n.nspname, c.opcname, am.amname) AS drop_statement,
       ARRAY[format('CREATE OPERATOR CLASS %I.%I %sFOR TYPE %s USING %I FAMILY %I.%I AS %s', n.nspname, c.opcname,
                    CASE WHEN c.opcdefault THEN 'DEFAULT ' END, format_type(c.opcintype, NULL), am.amname,
                    fn.nspname, f.opfname,
                    coalesce(nullif(concat_ws(', ',
                        'STORAGE ' || format_type(nullif(c.opckeytype, 0), NULL),
                        (SELECT string_agg(format('OPERATOR %s %s%s', o.amopstrategy, o.amopopr::regoperator,
                                                  (SELECT format(' FOR ORDER BY %I.%I', sn.nspname, s.opfname)
                                                     FROM pg_opfamily s
                                                     JOIN pg_namespace sn ON sn.oid = s.opfnamespace
                                                    WHERE s.oid = o.amopsortfamily)), ', ' ORDER BY o.amopstrategy)
                           FROM pg_depend d
                           JOIN pg_amop o ON o.oid = d.objid
                          WHERE d.refclassid = 'pg_opclass'::regclass AND d.refobjid = c.oid
                            AND d.classid = 'pg_amop'::regclass),
                        (SELECT string_agg(format('FUNCTION %s (%s, %s) %s', p.amprocnum,
                                                  format_type(p.amproclefttype, NULL),
                                                  format_type(p.amprocrighttype, NULL),
                                                  p.amproc::oid::regprocedure), ', ' ORDER BY p.amprocnum)
                           FROM pg_depend d
                           JOIN pg_amproc p ON p.oid = d.objid
                          WHERE d.refclassid = 'pg_opclass'::regclass AND d.refobjid = c.oid
                            AND d.classid = 'pg_amproc'::regclass)), ''),
                        -- The grammar demands an item; the type itself is what STORAGE says when it says nothing.
                        'STORAGE ' || format_type(c.opcintype, NULL)))] AS statements
  FROM pg_opclass c
  JOIN pg_namespace n ON n.oid = c.opcnamespace
  JOIN pg_am am ON am.oid = c.opcmethod
  JOIN pg_opfamily f ON f.oid = c.opcfamily
  JOIN pg_namespace fn ON fn.oid = f.opfnamespace
 WHERE n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_opclass'::regclass AND m.objid = c.oid AND m.deptype = 'e')
