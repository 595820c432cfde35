-- For relations of the target (an array of oids) whose names the ledger has: whether it means these very relations, the runs
-- that loaded them, which source those read and which database they wrote to, as far as that was recorded then.
SELECT c.relation, c.same, array_agg(DISTINCT c.run_id), r.source, r.source_server, r.identities
  FROM (SELECT DISTINCT w.oid AS relation, chunk.relation = w.oid AS same, chunk.run_id
          FROM unnest(%(relations)s::oid[]) AS w (oid)
          JOIN pg_class t ON t.oid = w.oid
          JOIN pg_namespace n ON n.oid = t.relnamespace
          JOIN _pg_migration.chunk ON (chunk.schema_name, chunk.table_name) = (n.nspname, t.relname)) AS c
  LEFT JOIN (SELECT run_id, source, source_server, to_jsonb(run) -> 'identities' AS identities
               FROM _pg_migration.run) AS r USING (run_id)
 GROUP BY c.relation, c.same, r.source, r.source_server, r.identities
