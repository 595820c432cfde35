-- For relations of the target (an array of oids) that the ledger has rows of: the runs that loaded them, which source those
-- read and which database they wrote to, as far as that was recorded then.
SELECT c.relation, array_agg(DISTINCT c.run_id), r.source, r.source_server, r.identities
  FROM (SELECT DISTINCT relation, run_id FROM _pg_migration.chunk
         WHERE relation = ANY (%(relations)s::oid[])
           AND relation = to_regclass(format('%%I.%%I', schema_name, table_name))) AS c
  LEFT JOIN (SELECT run_id, source, source_server, to_jsonb(run) -> 'identities' AS identities
               FROM _pg_migration.run) AS r USING (run_id)
 GROUP BY c.relation, r.source, r.source_server, r.identities
