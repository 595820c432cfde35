-- What is inside of some schemas: what is in one of them, and what belongs to that and is in no other schema: constraints,
-- defaults, triggers, rules, indexes; the schemas themselves, too.
WITH RECURSIVE chosen AS (
    SELECT n.oid FROM pg_namespace n WHERE n.nspname = ANY (%(schemas)s::text[])
), inside (classid, objid) AS (
    SELECT 'pg_namespace'::regclass::oid, n.oid FROM chosen n
    UNION
    SELECT d.classid, d.objid
      FROM inside i
      JOIN pg_depend d ON d.refclassid = i.classid AND d.refobjid = i.objid
     WHERE i.classid = 'pg_namespace'::regclass
        OR (d.deptype IN ('a', 'i', 'P', 'S')
            AND NOT EXISTS (SELECT FROM pg_depend o
                             WHERE o.classid = d.classid AND o.objid = d.objid
                               AND o.refclassid = 'pg_namespace'::regclass
                               AND o.refobjid NOT IN (SELECT c.oid FROM chosen c)))
)
SELECT i.classid, i.objid FROM inside i
