-- Aggregates, for which the server has no deparse function. The choice of clauses follows CREATE AGGREGATE's page.
SELECT 'pg_proc'::regclass::oid AS classid,
       p.oid AS objid,
       n.nspname AS schema,
       format('%s(%s)', p.proname, (SELECT string_agg(format_type(x.type, NULL), ', ' ORDER BY x.position)
                                      FROM unnest(p.proargtypes) WITH ORDINALITY AS x (type, position))) AS name,
       format('DROP AGGREGATE IF EXISTS %I.%I(%s)', n.nspname, p.proname,
              CASE WHEN p.pronargs = 0 THEN '*' ELSE pg_get_function_identity_arguments(p.oid) END) AS drop_statement,
       ARRAY[format('CREATE AGGREGATE %I.%I(%s) (%s)', n.nspname, p.proname,
                    CASE WHEN p.pronargs = 0 THEN '*' ELSE pg_get_function_arguments(p.oid) END,
                    concat_ws(', ',
                              'SFUNC = ' || concat(a.aggtransfn),
                              'STYPE = ' || format_type(a.aggtranstype, NULL),
                              'SSPACE = ' || nullif(concat(a.aggtransspace), '0'),
                              'FINALFUNC = ' || nullif(concat(a.aggfinalfn), '-'),
                              CASE WHEN a.aggfinalextra THEN 'FINALFUNC_EXTRA' END,
                              'FINALFUNC_MODIFY = ' || CASE a.aggfinalmodify WHEN 'r' THEN 'READ_ONLY'
                                                                             WHEN 's' THEN 'SHAREABLE'
                                                                             ELSE 'READ_WRITE' END,
                              'COMBINEFUNC = ' || nullif(concat(a.aggcombinefn), '-'),
                              'SERIALFUNC = ' || nullif(concat(a.aggserialfn), '-'),
                              'DESERIALFUNC = ' || nullif(concat(a.aggdeserialfn), '-'),
                              'INITCOND = ' || quote_literal(a.agginitval),
                              'MSFUNC = ' || nullif(concat(a.aggmtransfn), '-'),
                              'MINVFUNC = ' || nullif(concat(a.aggminvtransfn), '-'),
                              'MSTYPE = ' || format_type(nullif(a.aggmtranstype, 0), NULL),
                              'MSSPACE = ' || nullif(concat(a.aggmtransspace), '0'),
                              'MFINALFUNC = ' || nullif(concat(a.aggmfinalfn), '-'),
                              CASE WHEN a.aggmfinalextra THEN 'MFINALFUNC_EXTRA' END,
                              CASE WHEN a.aggmtransfn <> 0
                                   THEN 'MFINALFUNC_MODIFY = ' || CASE a.aggmfinalmodify WHEN 'r' THEN 'READ_ONLY'
                                                                                         WHEN 's' THEN 'SHAREABLE'
                                                                                         ELSE 'READ_WRITE' END END,
                              'MINITCOND = ' || quote_literal(a.aggminitval),
                              (SELECT format('SORTOP = OPERATOR(%I.%s)', sn.nspname, o.oprname)
                                 FROM pg_operator o
                                 JOIN pg_namespace sn ON sn.oid = o.oprnamespace
                                WHERE o.oid = a.aggsortop),
                              'PARALLEL = ' || CASE p.proparallel WHEN 's' THEN 'SAFE' WHEN 'r' THEN 'RESTRICTED'
                                                                  ELSE 'UNSAFE' END,
                              'SUPPORT = ' || nullif(concat(p.prosupport), '-'),  -- from 19 on
                              CASE WHEN a.aggkind = 'h' THEN 'HYPOTHETICAL' END))] AS statements
  FROM pg_proc p
  JOIN pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_aggregate a ON a.aggfnoid = p.oid
 WHERE n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_proc'::regclass AND m.objid = p.oid AND m.deptype = 'e')
