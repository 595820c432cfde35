-- Event triggers that fire in an ordinary session for DDL, and that this role may not disable; without those of extensions.
SELECT e.evtname
  FROM pg_event_trigger e
 WHERE e.evtenabled IN ('O', 'A')
   AND e.evtevent <> 'login'
   AND NOT pg_has_role(e.evtowner, 'USAGE')
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_event_trigger'::regclass AND m.objid = e.oid AND m.deptype = 'e')
 ORDER BY 1
