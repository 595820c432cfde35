-- The operators that compare the columns of some foreign keys, the referenced one first.
SELECT k.oid::bigint,
       ARRAY(SELECT format('OPERATOR(%%I.%%s)', n.nspname, o.oprname)
               FROM unnest(k.conpfeqop) WITH ORDINALITY AS used (operator, position)
               JOIN pg_operator o ON o.oid = used.operator
               JOIN pg_namespace n ON n.oid = o.oprnamespace
              ORDER BY used.position),
       coalesce(to_jsonb(k) ->> 'conperiod' = 'true', false)
  FROM pg_constraint k
 WHERE k.oid = ANY (%(keys)s::oid[])
