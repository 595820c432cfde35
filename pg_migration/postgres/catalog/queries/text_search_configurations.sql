-- Text search configurations and their mappings, token type by token type.
SELECT 'pg_ts_config'::regclass::oid AS classid,
       c.oid AS objid,
       n.nspname AS schema,
       c.cfgname AS name,
       format('DROP TEXT SEARCH CONFIGURATION IF EXISTS %I.%I', n.nspname, c.cfgname) AS drop_statement,
       ARRAY[format('CREATE TEXT SEARCH CONFIGURATION %I.%I (PARSER = %I.%I)', n.nspname, c.cfgname, pn.nspname,
                    p.prsname)]
       || ARRAY(SELECT format('ALTER TEXT SEARCH CONFIGURATION %I.%I ADD MAPPING FOR %I WITH %s', n.nspname, c.cfgname,
                              (SELECT token.alias FROM ts_token_type(c.cfgparser) token WHERE token.tokid = m.maptokentype),
                              string_agg(concat(m.mapdict::regdictionary), ', ' ORDER BY m.mapseqno))
                  FROM pg_ts_config_map m
                 WHERE m.mapcfg = c.oid
                 GROUP BY m.maptokentype
                 ORDER BY m.maptokentype) AS statements
  FROM pg_ts_config c
  JOIN pg_namespace n ON n.oid = c.cfgnamespace
  JOIN pg_ts_parser p ON p.oid = c.cfgparser
  JOIN pg_namespace pn ON pn.oid = p.prsnamespace
 WHERE n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_ts_config'::regclass AND m.objid = c.oid AND m.deptype = 'e')
