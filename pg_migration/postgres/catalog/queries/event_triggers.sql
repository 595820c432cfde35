-- Event triggers with their state. They belong to the whole database, and are left out again where it is not migrated as one.
SELECT 'pg_event_trigger'::regclass::oid AS classid,
       e.oid AS objid,
       '' AS schema,
       e.evtname AS name,
       format('DROP EVENT TRIGGER IF EXISTS %I', e.evtname) AS drop_statement,
       ARRAY[format('CREATE EVENT TRIGGER %I ON %s%s EXECUTE FUNCTION %s()', e.evtname, e.evtevent,
                    ' WHEN TAG IN (' || (SELECT string_agg(quote_literal(tag.name), ', ' ORDER BY tag.place)
                                           FROM unnest(e.evttags) WITH ORDINALITY AS tag (name, place)) || ')',
                    e.evtfoid::regproc)] AS statements,
       e.evtenabled AS enabled,
       coalesce(current_setting('pg_migration.whole', true), '') <> 'on' AS only_if_used
  FROM pg_event_trigger e
 WHERE NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_event_trigger'::regclass AND m.objid = e.oid AND m.deptype = 'e')
