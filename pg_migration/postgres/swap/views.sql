-- The views outside of some schemas that read what is in them, through other views or not: what each reads of these, whether
-- it reads the schemas themselves, and what makes it anew. pg_get_viewdef names every schema, as none of them is searched.
WITH RECURSIVE chosen AS (
    SELECT n.oid FROM pg_namespace n WHERE n.nspname = ANY (%(schemas)s::text[])
), inside AS (
{inside}), reads AS (
    SELECT DISTINCT v.oid AS view, d.refclassid, d.refobjid
      FROM pg_rewrite r
      JOIN pg_class v ON v.oid = r.ev_class AND v.relkind = 'v'
      JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
     WHERE r.rulename = '_RETURN' AND v.relnamespace NOT IN (SELECT c.oid FROM chosen c) AND d.refobjid <> v.oid
), found (view) AS (
    SELECT r.view FROM reads r JOIN inside i ON i.classid = r.refclassid AND i.objid = r.refobjid
    UNION
    SELECT r.view FROM found f JOIN reads r ON r.refclassid = 'pg_class'::regclass AND r.refobjid = f.view
)
SELECT v.oid::bigint, format('%%I.%%I', n.nspname, v.relname),
       EXISTS (SELECT FROM reads r JOIN inside i ON i.classid = r.refclassid AND i.objid = r.refobjid
                WHERE r.view = v.oid),
       ARRAY(SELECT r.refobjid::bigint FROM reads r JOIN found f ON f.view = r.refobjid
              WHERE r.view = v.oid AND r.refclassid = 'pg_class'::regclass),
       pg_has_role(v.relowner, 'USAGE'), quote_ident(pg_get_userbyid(v.relowner)),
       format('VIEW %%I.%%I%%s AS %%s', n.nspname, v.relname, ' WITH (' || array_to_string(v.reloptions, ', ') || ')',
              rtrim(pg_get_viewdef(v.oid), ';')),
       v.relacl IS NULL,
       ARRAY(SELECT format('GRANT %%s ON TABLE %%I.%%I TO %%s%%s', a.privilege_type, n.nspname, v.relname,
                           CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
                           CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END)
               FROM aclexplode(v.relacl) a)
       || ARRAY(SELECT format('GRANT %%s (%%I) ON TABLE %%I.%%I TO %%s%%s', a.privilege_type, c.attname, n.nspname,
                              v.relname, CASE a.grantee WHEN 0 THEN 'PUBLIC'
                                              ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
                              CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END)
                  FROM pg_attribute c CROSS JOIN LATERAL aclexplode(c.attacl) a WHERE c.attrelid = v.oid),
       ARRAY(SELECT format('ALTER VIEW %%I.%%I ALTER COLUMN %%I SET DEFAULT %%s', n.nspname, v.relname, c.attname,
                           pg_get_expr(f.adbin, f.adrelid))
               FROM pg_attrdef f JOIN pg_attribute c ON c.attrelid = f.adrelid AND c.attnum = f.adnum
              WHERE f.adrelid = v.oid)
       || ARRAY(SELECT rtrim(pg_get_ruledef(r.oid), ';') FROM pg_rewrite r
                 WHERE r.ev_class = v.oid AND r.rulename <> '_RETURN' ORDER BY r.rulename)
       || ARRAY(SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t
                 WHERE t.tgrelid = v.oid AND NOT t.tgisinternal ORDER BY t.tgname)
       || ARRAY(SELECT format('ALTER TABLE %%I.%%I %%s TRIGGER %%I', n.nspname, v.relname,
                              CASE t.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'A' THEN 'ENABLE ALWAYS'
                                               ELSE 'ENABLE REPLICA' END, t.tgname)
                  FROM pg_trigger t WHERE t.tgrelid = v.oid AND NOT t.tgisinternal AND t.tgenabled <> 'O')
       || ARRAY(SELECT format('COMMENT ON VIEW %%I.%%I IS %%L', n.nspname, v.relname, s.description)
                  FROM pg_description s
                 WHERE s.classoid = 'pg_class'::regclass AND s.objoid = v.oid AND s.objsubid = 0)
       || ARRAY(SELECT format('COMMENT ON COLUMN %%I.%%I.%%I IS %%L', n.nspname, v.relname, c.attname, s.description)
                  FROM pg_description s JOIN pg_attribute c ON c.attrelid = s.objoid AND c.attnum = s.objsubid
                 WHERE s.classoid = 'pg_class'::regclass AND s.objoid = v.oid AND s.objsubid > 0)
  FROM (SELECT DISTINCT f.view FROM found f) AS w
  JOIN pg_class v ON v.oid = w.view
  JOIN pg_namespace n ON n.oid = v.relnamespace
