-- What masks and conditions depend on, of the columns of some tables of the source: types behind domains, lengths, and
-- what each column is part of. Types are written as they can be said under any search_path.
WITH RECURSIVE domains AS (
    SELECT oid AS domain, typbasetype AS base, typtypmod AS modifier, typnotnull AS not_null FROM pg_type WHERE typtype = 'd'
     UNION ALL
    SELECT d.domain, t.typbasetype, greatest(d.modifier, t.typtypmod), d.not_null OR t.typnotnull
      FROM domains d JOIN pg_type t ON t.oid = d.base WHERE t.typtype = 'd'
)
SELECT a.attrelid::bigint,
       a.attname,
       CASE WHEN tn.nspname = 'pg_catalog'
            THEN format('pg_catalog.%%s', CASE WHEN t.typelem <> 0 AND e.typarray = t.oid
                                              THEN format('%%I[]', e.typname) ELSE quote_ident(t.typname) END)
                 || coalesce(substring(format_type(a.atttypid, a.atttypmod) FROM '\([0-9, -]+\)'), '')
            ELSE format_type(a.atttypid, a.atttypmod) END AS type,
       b.typname AS base,
       CASE WHEN b.typname IN ('varchar', 'bpchar')
            THEN nullif(greatest(a.atttypmod, behind.modifier, -1), -1) - 4 END AS length,
       a.attnotnull OR coalesce(behind.not_null, false) AS not_null,
       coalesce(to_jsonb(k) ->> 'collisdeterministic' <> 'false', true) AS deterministic,
       a.attgenerated::text AS generated,
       CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END AS computed,
       EXISTS (SELECT FROM pg_partitioned_table p
                WHERE p.partrelid = a.attrelid
                  AND (a.attnum = ANY (p.partattrs)
                       OR p.partexprs IS NOT NULL
                          AND EXISTS (SELECT FROM pg_depend x
                                       -- A column that an expression of the key reads can't go without the table.
                                       WHERE (x.classid, x.objid, x.refclassid, x.refobjid)
                                           = ('pg_class'::regclass, p.partrelid, 'pg_class'::regclass, p.partrelid)
                                         AND a.attnum IN (x.objsubid, x.refobjsubid))))
           AS in_partition_key,
       EXISTS (SELECT FROM pg_index i
                WHERE i.indrelid = a.attrelid AND i.indisunique
                  AND (a.attnum = ANY ((i.indkey::smallint[])[0:i.indnkeyatts - 1])
                       OR (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
                          AND EXISTS (SELECT FROM pg_depend x
                                       WHERE (x.classid, x.objid, x.refclassid, x.refobjid, x.refobjsubid)
                                           = ('pg_class'::regclass, i.indexrelid, 'pg_class'::regclass, i.indrelid,
                                              a.attnum)))) AS in_unique_key,
       EXISTS (SELECT FROM pg_index i
                WHERE i.indrelid = a.attrelid AND i.indisexclusion
                  AND EXISTS (SELECT FROM pg_constraint k
                               WHERE k.conindid = i.indexrelid AND k.contype <> 'f'
                                 AND (a.attnum = ANY (k.conkey) OR 0 = ANY (k.conkey)))) AS in_exclusion
  FROM pg_attribute a
  JOIN pg_type t ON t.oid = a.atttypid
  JOIN pg_namespace tn ON tn.oid = t.typnamespace
  LEFT JOIN pg_type e ON e.oid = t.typelem
  LEFT JOIN domains behind ON behind.domain = t.oid
                          AND NOT EXISTS (SELECT FROM pg_type n WHERE n.oid = behind.base AND n.typtype = 'd')
  JOIN pg_type b ON b.oid = coalesce(behind.base, t.oid)
  LEFT JOIN pg_collation k ON k.oid = a.attcollation
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attrelid = ANY (%(tables)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attrelid, a.attnum
