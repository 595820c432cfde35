-- Functions, procedures and window functions, as the server writes them. Aggregates are in aggregates.sql.
SELECT 'pg_proc'::regclass::oid AS classid,
       p.oid AS objid,
       n.nspname AS schema,
       format('%s(%s)', p.proname,
              (SELECT string_agg(format_type(a.type, NULL), ', ' ORDER BY a.position)
                 FROM unnest(p.proargtypes) WITH ORDINALITY AS a (type, position))) AS name,
       format('DROP %s IF EXISTS %s', signature.word, signature.text) AS drop_statement,
       ARRAY[pg_get_functiondef(p.oid)] AS statements,
       (SELECT substr(s.setting, length('search_path=') + 1)
          FROM unnest(p.proconfig) AS s (setting)
         WHERE starts_with(s.setting, 'search_path=')) AS search_path_setting,
       CASE WHEN to_jsonb(p) ->> 'prosqlbody' IS NULL THEN p.prosrc END AS body
  FROM pg_proc p
  JOIN pg_namespace n ON n.oid = p.pronamespace
 -- Types alone do not tell two procedures apart that differ in OUT arguments.
 CROSS JOIN LATERAL (SELECT CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
                            format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)))
                    AS signature (word, text)
 WHERE p.prokind <> 'a'
   AND n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_proc'::regclass AND m.objid = p.oid AND m.deptype IN ('e', 'i'))
