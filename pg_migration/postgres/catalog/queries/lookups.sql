-- What leans on operators outside pg_catalog: those operators, the functions that it calls, and its expressions as the
-- server keeps them (pg_node_tree). All of it, or with pg_migration.made_here set what this transaction has made.
WITH leaning AS (
    SELECT d.classid, d.objid, d.objsubid,
           jsonb_object_agg(d.refobjid::bigint, d.refobjid::regoperator) AS operators
      FROM pg_depend d
     WHERE d.refclassid = 'pg_operator'::regclass
       AND d.refobjid >= 16384
       AND d.classid IN ('pg_rewrite'::regclass, 'pg_trigger'::regclass, 'pg_constraint'::regclass, 'pg_class'::regclass,
                         'pg_attrdef'::regclass, 'pg_policy'::regclass, 'pg_statistic_ext'::regclass, 'pg_proc'::regclass,
                         'pg_type'::regclass)
       AND (coalesce(current_setting('pg_migration.made_here', true), '') = ''
            OR to_number(concat(d.xmin), '9999999999') = txid_current_if_assigned() % 4294967296)
     GROUP BY d.classid, d.objid, d.objsubid)
SELECT l.classid, l.objid, l.objsubid, l.operators,
       ARRAY(SELECT DISTINCT format('%I.%I', n.nspname, p.proname)
               FROM pg_depend d
               JOIN pg_proc p ON p.oid = d.refobjid
               JOIN pg_namespace n ON n.oid = p.pronamespace
              WHERE d.classid = l.classid AND d.objid = l.objid AND d.objsubid = l.objsubid
                AND d.refclassid = 'pg_proc'::regclass AND d.refobjid >= 16384) AS functions,
       array_remove(trees.found, NULL) AS trees
  FROM leaning l
 CROSS JOIN LATERAL (
        SELECT ARRAY[r.ev_action::text, r.ev_qual::text] AS found
          FROM pg_rewrite r WHERE l.classid = 'pg_rewrite'::regclass AND r.oid = l.objid
         UNION ALL
        SELECT ARRAY[t.tgqual::text]
          FROM pg_trigger t WHERE l.classid = 'pg_trigger'::regclass AND t.oid = l.objid
         UNION ALL
        -- Those that a child inherits come with the parent's.
        SELECT ARRAY[k.conbin::text]
          FROM pg_constraint k
         WHERE l.classid = 'pg_constraint'::regclass AND k.oid = l.objid AND (k.conislocal OR k.contype <> 'c')
         UNION ALL
        SELECT ARRAY[d.adbin::text]
          FROM pg_attrdef d
         WHERE l.classid = 'pg_attrdef'::regclass AND d.oid = l.objid
            OR l.classid = 'pg_class'::regclass AND d.adrelid = l.objid AND d.adnum = l.objsubid
         UNION ALL
        SELECT ARRAY[i.indexprs::text, i.indpred::text]
          FROM pg_index i WHERE l.classid = 'pg_class'::regclass AND i.indexrelid = l.objid
         UNION ALL
        SELECT ARRAY[p.partexprs::text]
          FROM pg_partitioned_table p
         WHERE l.classid = 'pg_class'::regclass AND p.partrelid = l.objid AND l.objsubid = 0
         UNION ALL
        SELECT ARRAY[p.polqual::text, p.polwithcheck::text]
          FROM pg_policy p WHERE l.classid = 'pg_policy'::regclass AND p.oid = l.objid
         UNION ALL
        SELECT ARRAY[to_jsonb(s) ->> 'stxexprs']
          FROM pg_statistic_ext s WHERE l.classid = 'pg_statistic_ext'::regclass AND s.oid = l.objid
         UNION ALL
        SELECT ARRAY[to_jsonb(p) ->> 'prosqlbody', p.proargdefaults::text]
          FROM pg_proc p WHERE l.classid = 'pg_proc'::regclass AND p.oid = l.objid
         UNION ALL
        SELECT ARRAY[t.typdefaultbin::text]
          FROM pg_type t WHERE l.classid = 'pg_type'::regclass AND t.oid = l.objid) AS trees
