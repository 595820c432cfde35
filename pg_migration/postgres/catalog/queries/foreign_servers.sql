-- Foreign servers. They have no schema; where not the whole database is migrated, one is left out again unless something that
-- is migrated, such as a foreign table, needs it.
SELECT 'pg_foreign_server'::regclass::oid AS classid,
       s.oid AS objid,
       '' AS schema,
       s.srvname AS name,
       format('DROP SERVER IF EXISTS %I', s.srvname) AS drop_statement,
       format('SERVER %I%s FOREIGN DATA WRAPPER %I', s.srvname, ' TYPE ' || quote_literal(s.srvtype), w.fdwname) AS head,
       array_remove(ARRAY['VERSION ' || quote_literal(s.srvversion)], NULL) || said.options AS elements,
       ARRAY[format('CREATE SERVER %I%s%s FOREIGN DATA WRAPPER %I%s', s.srvname, ' TYPE ' || quote_literal(s.srvtype),
                    ' VERSION ' || quote_literal(s.srvversion), w.fdwname,
                    ' OPTIONS (' || nullif(array_to_string(said.options, ', '), '') || ')')] AS statements,
       coalesce(current_setting('pg_migration.whole', true), '') <> 'on' AS only_if_used
  FROM pg_foreign_server s
  JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
 CROSS JOIN LATERAL (SELECT ARRAY(SELECT format('%I %L', o.option_name, o.option_value)
                                    FROM pg_options_to_table(s.srvoptions) AS o ORDER BY o.option_name)) AS said (options)
 WHERE NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_foreign_server'::regclass AND m.objid = s.oid AND m.deptype = 'e')
