-- Foreign-data wrappers that no extension brings. They have no schema; where not the whole database is migrated, one is left
-- out again unless something that is migrated needs it. Functions for the connections of subscriptions came with 19.
SELECT 'pg_foreign_data_wrapper'::regclass::oid AS classid,
       w.oid AS objid,
       '' AS schema,
       w.fdwname AS name,
       format('DROP FOREIGN DATA WRAPPER IF EXISTS %I', w.fdwname) AS drop_statement,
       said.head AS head,
       said.options AS elements,
       ARRAY[concat('CREATE ', said.head, ' OPTIONS (' || nullif(array_to_string(said.options, ', '), '') || ')')] AS statements,
       coalesce(current_setting('pg_migration.whole', true), '') <> 'on' AS only_if_used
  FROM pg_foreign_data_wrapper w
 CROSS JOIN LATERAL (
       SELECT format('FOREIGN DATA WRAPPER %I%s%s%s', w.fdwname, ' HANDLER ' || nullif(concat(w.fdwhandler::regproc), '-'),
                     ' VALIDATOR ' || nullif(concat(w.fdwvalidator::regproc), '-'),
                     ' CONNECTION ' || nullif(nullif(concat(
                         to_number(to_jsonb(w) ->> 'fdwconnection', '9999999999')::bigint::oid::regproc), ''), '-')),
              ARRAY(SELECT format('%I %L', o.option_name, o.option_value)
                      FROM pg_options_to_table(w.fdwoptions) AS o ORDER BY o.option_name)) AS said (head, options)
 WHERE NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_foreign_data_wrapper'::regclass AND m.objid = w.oid AND m.deptype = 'e')
