-- Constraints of tables. conenforced and conperiod came with 18; NOT NULL (contype n) is a row here from 18 on. Constraint
-- triggers (t) are here for their names alone.
SELECT k.oid,
       k.conrelid AS relation,
       k.conname AS name,
       k.contype AS type,
       pg_get_constraintdef(k.oid) AS definition,
       -- PostgreSQL docs, ALTER TABLE: ADD table_constraint_using_index is not for partitioned tables.
       CASE WHEN k.contype IN ('p', 'u') AND c.relkind = 'r'
                 AND NOT coalesce(to_jsonb(k) ->> 'conperiod' = 'true', false)
            THEN pg_get_indexdef(k.conindid) END AS index_definition,
       k.convalidated AS valid,
       coalesce(to_jsonb(k) ->> 'conenforced' = 'true', true) AS enforced,
       k.conislocal
       OR k.contype IN ('c', 'n')
          AND NOT EXISTS (SELECT FROM pg_inherits h
                            JOIN pg_constraint above ON above.conrelid = h.inhparent AND above.contype = k.contype
                           WHERE h.inhrelid = k.conrelid
                             AND pending.inhrelid IS NULL
                             AND (above.conname = k.conname OR k.contype = 'n')) AS is_local,
       CASE WHEN pending.inhrelid IS NULL THEN k.conparentid ELSE 0 END AS parent,
       k.connoinherit AS no_inherit,
       k.conindid AS index,
       x.relname AS index_name,
       concat(k.conindid::regclass) AS quoted_index,
       CASE WHEN k.contype IN ('p', 'u') THEN x.reloptions END AS index_options,
       i.indisclustered AS clustered,
       i.indisreplident AS replica_identity,
       i.indisvalid AS index_valid,
       nullif(concat(up.inhparent::regclass), '') AS parent_index,
       parent_constraint.oid AS parent_constraint,
       up.inhparent AS parent_index_oid,
       (SELECT array_agg(a.attname ORDER BY key.position)
          FROM unnest(k.conkey) WITH ORDINALITY AS key (number, position)
          JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = key.number) AS columns,
       k.confrelid AS referenced,
       (SELECT array_agg(a.attname ORDER BY key.position)
          FROM unnest(k.confkey) WITH ORDINALITY AS key (number, position)
          JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = key.number) AS referenced_columns,
       fn.nspname AS referenced_schema,
       f.relname AS referenced_name,
       k.contype = 'c' AND EXISTS (SELECT FROM pg_depend d
                                    WHERE d.classid = 'pg_constraint'::regclass AND d.objid = k.oid
                                      AND d.refobjid >= 16384 AND d.refobjid <> k.conrelid) AS leans_on_objects
  FROM pg_constraint k
  JOIN pg_class c ON c.oid = k.conrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_class x ON x.oid = k.conindid
  LEFT JOIN pg_index i ON i.indexrelid = k.conindid AND k.contype IN ('p', 'u', 'x')
  -- A partition that is being detached (14 on) has nothing from its parent any more.
  LEFT JOIN pg_inherits pending ON pending.inhrelid = k.conrelid
                               AND coalesce(to_jsonb(pending) ->> 'inhdetachpending' = 'true', false)
  LEFT JOIN pg_inherits up ON up.inhrelid = i.indexrelid AND pending.inhrelid IS NULL
  LEFT JOIN pg_constraint parent_constraint ON parent_constraint.conindid = up.inhparent
                                           AND parent_constraint.contype IN ('p', 'u', 'x')
  LEFT JOIN pg_class f ON f.oid = k.confrelid
  LEFT JOIN pg_namespace fn ON fn.oid = f.relnamespace
 WHERE k.contype IN ('c', 'f', 'n', 'p', 't', 'u', 'x')
   AND c.relkind IN ('r', 'p', 'f')
   AND c.relpersistence <> 't'
   AND n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
 ORDER BY k.conrelid, k.conname
