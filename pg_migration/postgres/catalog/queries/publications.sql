-- Publications. They have no schema; where not the whole database is migrated, one is left out again unless something that is
-- migrated is in it. publish_via_partition_root came with 13, publish_generated_columns with 18, ALL SEQUENCES and EXCEPT
-- with 19.
SELECT 'pg_publication'::regclass::oid AS classid,
       p.oid AS objid,
       '' AS schema,
       p.pubname AS name,
       format('DROP PUBLICATION IF EXISTS %I', p.pubname) AS drop_statement,
       said.head AS head,
       said.elements AS elements,
       ARRAY[format('CREATE %s WITH (%s)', said.head, array_to_string(said.elements, ', '))] AS statements,
       coalesce(current_setting('pg_migration.whole', true), '') <> 'on' AS only_if_used
  FROM pg_publication p
 CROSS JOIN LATERAL (
       SELECT format('PUBLICATION %I%s', p.pubname,
                     ' FOR ' || nullif(concat_ws(', ',
                         CASE WHEN p.puballtables
                              THEN concat('ALL TABLES', ' EXCEPT (TABLE ' || (
                                       SELECT string_agg(concat('ONLY ', r.prrelid::regclass), ', ' ORDER BY r.prrelid)
                                         FROM pg_publication_rel r
                                        WHERE r.prpubid = p.oid AND to_jsonb(r) ->> 'prexcept' = 'true') || ')') END,
                         CASE WHEN to_jsonb(p) ->> 'puballsequences' = 'true' THEN 'ALL SEQUENCES' END), '')),
              array_remove(ARRAY[
                  format('publish = %L', concat_ws(', ', CASE WHEN p.pubinsert THEN 'insert' END,
                                                         CASE WHEN p.pubupdate THEN 'update' END,
                                                         CASE WHEN p.pubdelete THEN 'delete' END,
                                                         CASE WHEN p.pubtruncate THEN 'truncate' END)),
                  CASE WHEN target.version >= 130000 OR to_jsonb(p) ->> 'pubviaroot' = 'true'
                       THEN format('publish_via_partition_root = %s',
                                   CASE to_jsonb(p) ->> 'pubviaroot' WHEN 'true' THEN 'true' ELSE 'false' END) END,
                  CASE WHEN target.version >= 180000 OR to_jsonb(p) ->> 'pubgencols' = 's'
                       THEN format('publish_generated_columns = %s',
                                   CASE to_jsonb(p) ->> 'pubgencols' WHEN 's' THEN 'stored' ELSE 'none' END) END], NULL)
         FROM to_number(coalesce(current_setting('pg_migration.target_version', true),
                                 current_setting('server_version_num')), '999999') AS target (version))
       AS said (head, elements)
 WHERE NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_publication'::regclass AND m.objid = p.oid AND m.deptype = 'e')
   AND p.pubname !~ concat('^pg_migration_', repeat('[0-9a-f]', 12), '$')
