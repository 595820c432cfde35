-- Subscriptions of this database, as they can be made without the publisher: disabled, without a slot there. Asked only of
-- servers where the role may read how they connect: by what they say themselves or, from 19 on, by a foreign server. What
-- older servers lack is read by way of to_jsonb.
SELECT 'pg_subscription'::regclass::oid AS classid,
       s.oid AS objid,
       '' AS schema,
       s.subname AS name,
       -- Neither the slot, which is the source's, nor the publisher is touched.
       format('ALTER SUBSCRIPTION %1$I DISABLE;' || chr(10) || 'ALTER SUBSCRIPTION %1$I SET (slot_name = NONE);' || chr(10)
              || 'DROP SUBSCRIPTION IF EXISTS %1$I', s.subname) AS drop_statement,
       ARRAY[format('CREATE SUBSCRIPTION %I %s PUBLICATION %s WITH (%s)', s.subname,
                    coalesce('SERVER ' || quote_ident(v.srvname), 'CONNECTION ' || quote_literal(s.subconninfo)),
                    (SELECT string_agg(quote_ident(p.name), ', ' ORDER BY p.place)
                       FROM unnest(s.subpublications) WITH ORDINALITY AS p (name, place)),
                    concat_ws(', ', 'connect = false',
                              'slot_name = ' || coalesce(quote_literal(s.subslotname), 'NONE'),
                              CASE WHEN f.row ->> 'subbinary' = 'true' THEN 'binary = true' END,
                              CASE f.row ->> 'substream' WHEN 'true' THEN 'streaming = on' WHEN 't' THEN 'streaming = on'
                                                         WHEN 'p' THEN 'streaming = parallel'
                                                         ELSE CASE WHEN target.version >= 180000
                                                                   THEN 'streaming = off' END END,
                              CASE WHEN f.row ->> 'subtwophasestate' IN ('p', 'e') THEN 'two_phase = on' END,
                              CASE WHEN f.row ->> 'subdisableonerr' = 'true' THEN 'disable_on_error = true' END,
                              CASE WHEN f.row ->> 'subpasswordrequired' = 'false' THEN 'password_required = false' END,
                              -- Before 16 they always do.
                              CASE WHEN coalesce(f.row ->> 'subrunasowner', 'true') = 'true' AND target.version >= 160000
                                   THEN 'run_as_owner = true' END,
                              CASE WHEN f.row ->> 'suborigin' = 'none' THEN 'origin = none' END,
                              CASE WHEN f.row ->> 'subfailover' = 'true' THEN 'failover = true' END,
                              CASE WHEN f.row ->> 'subretaindeadtuples' = 'true' THEN 'retain_dead_tuples = true' END,
                              'max_retention_duration = ' || nullif(f.row ->> 'submaxretention', '0'),
                              'wal_receiver_timeout = ' || quote_literal(nullif(f.row ->> 'subwalrcvtimeout', '-1')),
                              CASE WHEN s.subsynccommit <> 'off'
                                   THEN format('synchronous_commit = %L', s.subsynccommit) END))] AS statements,
       pg_get_userbyid(s.subowner)::text AS owner,
       coalesce(current_setting('pg_migration.whole', true), '') <> 'on' AS only_if_used
  FROM pg_subscription s
 CROSS JOIN LATERAL to_jsonb(s) AS f (row)
 CROSS JOIN to_number(coalesce(current_setting('pg_migration.target_version', true),
                               current_setting('server_version_num')), '999999') AS target (version)
  LEFT JOIN pg_foreign_server v ON v.oid = to_number(f.row ->> 'subserver', '9999999999')::bigint::oid
 WHERE s.subdbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
   AND s.subname !~ concat('^pg_migration_', repeat('[0-9a-f]', 12), '$')  -- made by us, for a while
