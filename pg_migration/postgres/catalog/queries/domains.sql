-- Domains with their default, NOT NULL and those constraints that can be part of CREATE DOMAIN: valid, and leaning on
-- nothing that may itself need the domain. The others are in domain_constraints.sql.
SELECT 'pg_type'::regclass::oid AS classid,
       t.oid AS objid,
       n.nspname AS schema,
       t.typname AS name,
       format('DROP DOMAIN IF EXISTS %s', t.oid::regtype) AS drop_statement,
       ARRAY[format('CREATE DOMAIN %s %s', t.oid::regtype, array_to_string(clauses.said, ' '))] AS statements,
       format('DOMAIN %s', t.oid::regtype) AS head,
       clauses.said AS elements,
       ARRAY(SELECT k.oid::bigint FROM pg_constraint k
              WHERE k.contypid = t.oid AND (k.contype <> 'n' OR k.conname = coalesce(only_one.name, k.conname)))
           AS constraints
  FROM pg_type t
  JOIN pg_namespace n ON n.oid = t.typnamespace
  JOIN pg_type b ON b.oid = t.typbasetype
  LEFT JOIN pg_collation c ON c.oid = t.typcollation
  LEFT JOIN pg_namespace cn ON cn.oid = c.collnamespace
  -- From 17 on NOT NULL has a name; where another constraint has the one that the server would give, it gets a number.
  LEFT JOIN LATERAL (SELECT left(t.typname, 54 - length(concat(number))) || '_not_null' || concat(number) AS name
                       FROM generate_series(1, 1000) AS number
                      WHERE t.typnotnull
                        AND to_number(current_setting('pg_migration.target_version'), '999999') >= 170000
                        AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'n')
                        AND EXISTS (SELECT FROM pg_constraint k
                                     WHERE k.contypid = t.oid AND k.conname = left(t.typname, 54) || '_not_null')
                        AND NOT EXISTS (SELECT FROM pg_constraint k
                                         WHERE k.contypid = t.oid
                                           AND k.conname = left(t.typname, 54 - length(concat(number))) || '_not_null' || concat(number))
                      ORDER BY number
                      LIMIT 1) AS chosen ON true
  -- In 17 a domain may have several, of which 18 and later take one: the one that pg_dump writes.
  LEFT JOIN LATERAL (SELECT max(k.conname::text) AS name
                       FROM pg_constraint k
                      WHERE k.contypid = t.oid
                        AND k.contype = 'n'
                        AND to_number(current_setting('pg_migration.target_version'), '999999') >= 180000) AS only_one ON true
 CROSS JOIN LATERAL (SELECT array_remove(
           ARRAY['AS ' || format_type(t.typbasetype, t.typtypmod)
                 || CASE WHEN t.typcollation <> b.typcollation
                         THEN format(' COLLATE %I.%I', cn.nspname, c.collname) ELSE '' END,
                 'DEFAULT ' || coalesce(pg_get_expr(t.typdefaultbin, 0), quote_literal(t.typdefault)),
                 CASE WHEN t.typnotnull AND chosen.name IS NULL
                           AND NOT EXISTS (SELECT FROM pg_constraint k
                                            WHERE k.contypid = t.oid AND k.contype = 'n'
                                              AND k.conname = coalesce(only_one.name, k.conname)
                                              AND k.conname <> left(t.typname, 54) || '_not_null')
                      THEN 'NOT NULL' END]
           || ARRAY(SELECT format('CONSTRAINT %I %s', said.name, said.definition)
                      FROM (SELECT k.conname AS name,
                                   CASE WHEN k.contype = 'n' THEN 'NOT NULL' ELSE pg_get_constraintdef(k.oid) END
                                       AS definition
                              FROM pg_constraint k
                             WHERE k.contypid = t.oid
                               AND k.convalidated
                               AND (k.contype <> 'n' OR k.conname = coalesce(only_one.name, k.conname))
                               AND NOT (k.contype = 'n' AND k.conname = left(t.typname, 54) || '_not_null')
                               AND NOT EXISTS (SELECT FROM pg_depend d
                                                WHERE d.classid = 'pg_constraint'::regclass AND d.objid = k.oid
                                                  AND d.refobjid >= 16384 AND d.refobjid <> t.oid)
                             UNION ALL
                            SELECT chosen.name, 'NOT NULL' WHERE chosen.name IS NOT NULL) AS said
                     ORDER BY said.name), NULL)) AS clauses (said)
 WHERE t.typtype = 'd'
   AND n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid AND m.deptype = 'e')
