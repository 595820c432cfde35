-- What outside of some schemas leans on what is inside of them (inside.sql), and what an extension has there. Views and
-- publications are made to follow a swap; casts and transforms belong to the types that they convert.
WITH chosen AS (
    SELECT n.oid FROM pg_namespace n WHERE n.nspname = ANY (%(schemas)s::text[])
), inside AS (
{inside})
SELECT 'dependent' AS what, pg_describe_object(d.classid, d.objid, 0) AS name,
       min(pg_describe_object(d.refclassid, d.refobjid, 0)) AS needed
  FROM inside i
  JOIN pg_depend d ON d.refclassid = i.classid AND d.refobjid = i.objid
 WHERE (d.classid, d.objid) NOT IN (SELECT n.classid, n.objid FROM inside n)
   AND d.classid NOT IN ('pg_cast'::regclass, 'pg_transform'::regclass)
   AND NOT (d.classid = 'pg_class'::regclass AND EXISTS (
                SELECT FROM pg_class v WHERE v.oid = d.objid AND v.relkind = 'v'))
   AND NOT (d.classid = 'pg_rewrite'::regclass AND EXISTS (
                SELECT FROM pg_rewrite r JOIN pg_class v ON v.oid = r.ev_class
                 WHERE r.oid = d.objid AND r.rulename = '_RETURN' AND v.relkind = 'v'))
 GROUP BY d.classid, d.objid
UNION ALL
SELECT 'extension', concat('extension ', e.extname), min(pg_describe_object(m.classid, m.objid, 0))
  FROM inside i
  JOIN pg_depend m ON m.classid = i.classid AND m.objid = i.objid AND m.deptype = 'e'
  JOIN pg_extension e ON m.refclassid = 'pg_extension'::regclass AND e.oid = m.refobjid
 GROUP BY e.extname
UNION ALL
SELECT 'extension', concat('extension ', e.extname), concat('schema ', n.nspname)
  FROM pg_extension e
  JOIN pg_namespace n ON n.oid = e.extnamespace
 WHERE n.oid IN (SELECT c.oid FROM chosen c)
   AND NOT EXISTS (SELECT FROM inside i
                     JOIN pg_depend m ON m.classid = i.classid AND m.objid = i.objid AND m.deptype = 'e'
                    WHERE m.refclassid = 'pg_extension'::regclass AND m.refobjid = e.oid)
UNION ALL
SELECT 'subscription', concat('a subscription has table ', c.oid::regclass), ''
  FROM pg_subscription_rel s
  JOIN pg_class c ON c.oid = s.srrelid
 WHERE c.relnamespace IN (SELECT n.oid FROM chosen n)
UNION ALL
SELECT 'right', concat('schema ', n.nspname), concat('its owner ', pg_get_userbyid(n.nspowner))
  FROM pg_namespace n
 WHERE n.oid IN (SELECT c.oid FROM chosen c) AND NOT pg_has_role(n.nspowner, 'USAGE')
UNION ALL
SELECT 'right', concat('publication ', p.pubname), concat('its owner ', pg_get_userbyid(p.pubowner))
  FROM pg_publication p
  JOIN pg_publication_rel r ON r.prpubid = p.oid
  JOIN pg_class c ON c.oid = r.prrelid
 WHERE c.relnamespace IN (SELECT n.oid FROM chosen n) AND NOT pg_has_role(p.pubowner, 'USAGE')
UNION ALL
SELECT 'right', concat('database ', current_database()), 'CREATE'
 WHERE NOT has_database_privilege(current_database(), 'CREATE')
 ORDER BY 1, 2
