-- Text search parsers. Making one takes a superuser.
SELECT 'pg_ts_parser'::regclass::oid AS classid,
       p.oid AS objid,
       n.nspname AS schema,
       p.prsname AS name,
       format('DROP TEXT SEARCH PARSER IF EXISTS %I.%I', n.nspname, p.prsname) AS drop_statement,
       ARRAY[format('CREATE TEXT SEARCH PARSER %I.%I (%s)', n.nspname, p.prsname,
                    concat_ws(', ', 'START = ' || concat(p.prsstart), 'GETTOKEN = ' || concat(p.prstoken),
                              'END = ' || concat(p.prsend), 'HEADLINE = ' || nullif(concat(p.prsheadline), '-'),
                              'LEXTYPES = ' || concat(p.prslextype)))] AS statements
  FROM pg_ts_parser p
  JOIN pg_namespace n ON n.oid = p.prsnamespace
 WHERE n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_ts_parser'::regclass AND m.objid = p.oid AND m.deptype = 'e')
