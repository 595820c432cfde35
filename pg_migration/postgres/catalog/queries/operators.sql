-- Operators. One that is only named as another's commutator or negator has no function yet and comes with that other one.
SELECT 'pg_operator'::regclass::oid AS classid,
       o.oid AS objid,
       n.nspname AS schema,
       format('%s(%s, %s)', o.oprname, format_type(nullif(o.oprleft, 0), NULL), format_type(nullif(o.oprright, 0), NULL))
           AS name,
       format('DROP OPERATOR IF EXISTS %I.%s(%s, %s)', n.nspname, o.oprname,
              coalesce(format_type(nullif(o.oprleft, 0), NULL), 'NONE'),
              coalesce(format_type(nullif(o.oprright, 0), NULL), 'NONE')) AS drop_statement,
       ARRAY[format('CREATE OPERATOR %I.%s (%s)', n.nspname, o.oprname,
                    concat_ws(', ',
                              'FUNCTION = ' || concat(o.oprcode),
                              'LEFTARG = ' || format_type(nullif(o.oprleft, 0), NULL),
                              'RIGHTARG = ' || format_type(nullif(o.oprright, 0), NULL),
                              (SELECT format('COMMUTATOR = OPERATOR(%I.%s)', cn.nspname, c.oprname)
                                 FROM pg_operator c
                                 JOIN pg_namespace cn ON cn.oid = c.oprnamespace
                                WHERE c.oid = o.oprcom),
                              (SELECT format('NEGATOR = OPERATOR(%I.%s)', cn.nspname, c.oprname)
                                 FROM pg_operator c
                                 JOIN pg_namespace cn ON cn.oid = c.oprnamespace
                                WHERE c.oid = o.oprnegate),
                              CASE WHEN o.oprcanmerge THEN 'MERGES' END,
                              CASE WHEN o.oprcanhash THEN 'HASHES' END,
                              'RESTRICT = ' || nullif(concat(o.oprrest), '-'),
                              'JOIN = ' || nullif(concat(o.oprjoin), '-')))] AS statements
  FROM pg_operator o
  JOIN pg_namespace n ON n.oid = o.oprnamespace
 WHERE o.oprcode <> 0
   AND n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_operator'::regclass AND m.objid = o.oid AND m.deptype = 'e')
