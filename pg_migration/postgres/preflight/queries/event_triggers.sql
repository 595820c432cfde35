-- Event triggers that fire in an ordinary session, without those of extensions.
SELECT e.evtname
  FROM pg_event_trigger e
 WHERE e.evtenabled IN ('O', 'A')
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_event_trigger'::regclass AND m.objid = e.oid AND m.deptype = 'e')
 ORDER BY 1
