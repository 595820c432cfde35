-- Text search dictionaries. dictinitoption is kept as the text of an option list.
SELECT 'pg_ts_dict'::regclass::oid AS classid,
       d.oid AS objid,
       n.nspname AS schema,
       d.dictname AS name,
       format('DROP TEXT SEARCH DICTIONARY IF EXISTS %I.%I', n.nspname, d.dictname) AS drop_statement,
       ARRAY[format('CREATE TEXT SEARCH DICTIONARY %I.%I (TEMPLATE = %I.%I%s)', n.nspname, d.dictname,
                    tn.nspname, t.tmplname, ', ' || d.dictinitoption)] AS statements
  FROM pg_ts_dict d
  JOIN pg_namespace n ON n.oid = d.dictnamespace
  JOIN pg_ts_template t ON t.oid = d.dicttemplate
  JOIN pg_namespace tn ON tn.oid = t.tmplnamespace
 WHERE n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_ts_dict'::regclass AND m.objid = d.oid AND m.deptype = 'e')
