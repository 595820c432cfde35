-- Text search templates. Making one takes a superuser.
SELECT 'pg_ts_template'::regclass::oid AS classid,
       t.oid AS objid,
       n.nspname AS schema,
       t.tmplname AS name,
       format('DROP TEXT SEARCH TEMPLATE IF EXISTS %I.%I', n.nspname, t.tmplname) AS drop_statement,
       ARRAY[format('CREATE TEXT SEARCH TEMPLATE %I.%I (%s)', n.nspname, t.tmplname,
                    concat_ws(', ', 'INIT = ' || nullif(concat(t.tmplinit), '-'),
                              'LEXIZE = ' || concat(t.tmpllexize)))] AS statements
  FROM pg_ts_template t
  JOIN pg_namespace n ON n.oid = t.tmplnamespace
 WHERE n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_ts_template'::regclass AND m.objid = t.oid AND m.deptype = 'e')
