-- Row-level security policies.
SELECT 'pg_policy'::regclass::oid AS classid,
       p.oid AS objid,
       n.nspname AS schema,
       p.polname AS name,
       c.oid AS relation,
       format('DROP POLICY IF EXISTS %I ON %s', p.polname, c.oid::regclass) AS drop_statement,
       ARRAY[format('CREATE POLICY %I ON %s%s%s TO %s%s%s', p.polname, c.oid::regclass,
                    CASE WHEN NOT p.polpermissive THEN ' AS RESTRICTIVE' END,
                    CASE p.polcmd WHEN 'r' THEN ' FOR SELECT' WHEN 'a' THEN ' FOR INSERT' WHEN 'w' THEN ' FOR UPDATE'
                                  WHEN 'd' THEN ' FOR DELETE' END,
                    (SELECT string_agg(CASE WHEN u.role = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(u.role)) END,
                                       ', ' ORDER BY u.position)
                       FROM unnest(p.polroles) WITH ORDINALITY AS u (role, position)),
                    ' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
                    ' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')] AS statements,
       ARRAY(SELECT pg_get_userbyid(u.role)::text FROM unnest(p.polroles) AS u (role) WHERE u.role <> 0) AS roles
  FROM pg_policy p
  JOIN pg_class c ON c.oid = p.polrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
