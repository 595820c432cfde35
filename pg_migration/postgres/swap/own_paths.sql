-- The functions of some schemas that set a search_path for themselves.
SELECT CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, concat(p.oid::regprocedure),
       substr(s.setting, length('search_path=') + 1)
  FROM pg_proc p
  JOIN pg_namespace n ON n.oid = p.pronamespace
 CROSS JOIN LATERAL unnest(p.proconfig) AS s (setting)
 WHERE n.nspname = ANY (%(schemas)s::text[]) AND starts_with(s.setting, 'search_path=')
