-- Tables of the migrated schemas that are in publications by name. Row filters and lists of columns came with 15: where the
-- catalog lacks them, their names mean what is beside it here.
SELECT 'pg_publication_rel'::regclass::oid AS classid,
       m.oid AS objid,
       n.nspname AS schema,
       p.pubname AS name,
       c.oid AS relation,
       format('ALTER PUBLICATION %I DROP TABLE ONLY %s', p.pubname, c.oid::regclass) AS drop_statement,
       ARRAY[format('ALTER PUBLICATION %I ADD TABLE ONLY %s%s%s', p.pubname, c.oid::regclass,
                    ' (' || (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY listed.place)
                               FROM unnest(m.columns) WITH ORDINALITY AS listed (number, place)
                               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = listed.number) || ')',
                    ' WHERE (' || m.row_filter || ')')] AS statements
  FROM (SELECT NULL::pg_node_tree AS prqual, NULL::int2vector AS prattrs) AS older
 CROSS JOIN LATERAL (SELECT r.oid, r.prpubid, r.prrelid, pg_get_expr(prqual, r.prrelid) AS row_filter,
                            prattrs::int2[] AS columns, to_jsonb(r) ->> 'prexcept' AS left_out
                       FROM pg_publication_rel r) AS m
  JOIN pg_publication p ON p.oid = m.prpubid
  JOIN pg_class c ON c.oid = m.prrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE m.left_out IS DISTINCT FROM 'true'
   AND n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend x
                    WHERE x.classid = 'pg_publication'::regclass AND x.objid = p.oid AND x.deptype = 'e')
   AND p.pubname !~ concat('^pg_migration_', repeat('[0-9a-f]', 12), '$')  -- made by us, for a while
