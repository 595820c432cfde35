-- Triggers with their state. The copies that partitions hold come with the partitioned table's trigger (tgparentid from 13
-- on, a dependency of type P before); of those only a state of their own is told. Before 15 they count as internal, as do
-- the triggers of a constraint always.
SELECT 'pg_trigger'::regclass::oid AS classid,
       t.oid AS objid,
       n.nspname AS schema,
       t.tgname AS name,
       c.oid AS relation,
       CASE WHEN parent.oid IS NULL THEN format('DROP TRIGGER IF EXISTS %I ON %s', t.tgname, c.oid::regclass)
            ELSE format('ALTER TABLE %s ENABLE TRIGGER %I', c.oid::regclass, t.tgname) END AS drop_statement,
       CASE WHEN parent.oid IS NULL THEN ARRAY[pg_get_triggerdef(t.oid)] ELSE ARRAY[]::text[] END
       || CASE WHEN t.tgenabled <> coalesce(parent.tgenabled, 'O')
               THEN ARRAY[format('ALTER TABLE %s %s TRIGGER %I', c.oid::regclass,
                                 CASE t.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'A' THEN 'ENABLE ALWAYS'
                                                  WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE' END, t.tgname)]
               ELSE ARRAY[]::text[] END AS statements
  FROM pg_trigger t
  JOIN pg_class c ON c.oid = t.tgrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_depend d ON d.classid = 'pg_trigger'::regclass AND d.objid = t.oid AND d.deptype = 'P'
                       AND d.refclassid = 'pg_trigger'::regclass
  LEFT JOIN pg_trigger parent ON parent.oid = coalesce(nullif(to_number(to_jsonb(t) ->> 'tgparentid', '9999999999')::bigint::oid, 0), d.refobjid)
 WHERE (NOT t.tgisinternal
        OR parent.oid IS NOT NULL AND NOT EXISTS (SELECT FROM pg_constraint k
                                                   WHERE k.oid = t.tgconstraint AND k.contype <> 't'))
   AND (parent.oid IS NULL
        OR t.tgenabled <> parent.tgenabled
           -- Those of a partition that is being detached (14 on) go when it is.
           AND NOT EXISTS (SELECT FROM pg_inherits i
                            WHERE i.inhrelid = c.oid
                              AND coalesce(to_jsonb(i) ->> 'inhdetachpending' = 'true', false)))
   AND c.relkind IN ('r', 'p', 'v', 'f')
   AND n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_trigger'::regclass AND m.objid = t.oid AND m.deptype = 'e')
