-- Of relations (an array of oids), what the values in their rows rest on besides the rows: the file that holds them, what
-- ALTER TABLE changes without touching a row (a column dropped and added again is another column, and its value in old
-- rows is the default of that moment), labels of enums and attributes of composites.
-- ``unsure`` are types whose text names other objects, and so changes when those are renamed.
WITH RECURSIVE part (relation, type) AS (
    SELECT a.attrelid, a.atttypid FROM pg_attribute a
    WHERE a.attrelid = ANY (%(relations)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
    UNION
    SELECT p.relation, inside.type
    FROM part p
    JOIN pg_type t ON t.oid = p.type
    CROSS JOIN LATERAL (
        SELECT t.typbasetype WHERE t.typtype = 'd'
        UNION ALL
        SELECT t.typelem WHERE t.typtype = 'b' AND t.typelem <> 0
        UNION ALL
        SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = t.oid
        UNION ALL
        SELECT a.atttypid FROM pg_attribute a
        WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS inside (type)
),
columns AS (
    SELECT a.attrelid AS relation,
           string_agg(concat_ws(' ', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attgenerated, a.attisdropped,
                                a.attmissingval::text), E'\n' ORDER BY a.attnum) AS text
    FROM pg_attribute a
    WHERE a.attrelid = ANY (%(relations)s::oid[]) AND a.attnum > 0
    GROUP BY a.attrelid
),
types AS (
    SELECT p.relation,
           string_agg(concat_ws(' ', t.oid, l.labels, m.attributes), E'\n' ORDER BY t.oid)
               FILTER (WHERE t.typtype IN ('e', 'c')) AS text,
           string_agg(format_type(t.oid, NULL), ', ' ORDER BY t.oid) FILTER (
               WHERE t.typnamespace = 'pg_catalog'::regnamespace AND (t.typname LIKE 'reg%%' OR t.typname = 'aclitem')
               OR t.typtype = 'm' AND t.typnamespace <> 'pg_catalog'::regnamespace) AS unsure
    FROM part p
    JOIN pg_type t ON t.oid = p.type
    LEFT JOIN LATERAL (
        SELECT string_agg(format('%%s %%s', e.oid, e.enumlabel), E'\n' ORDER BY e.oid) AS labels
        FROM pg_enum e WHERE e.enumtypid = t.oid
    ) AS l ON true
    LEFT JOIN LATERAL (
        SELECT string_agg(concat_ws(' ', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attisdropped), E'\n'
                          ORDER BY a.attnum) AS attributes
        FROM pg_attribute a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0
    ) AS m ON true
    GROUP BY p.relation
)
SELECT c.oid::bigint, c.relfilenode::bigint, c.relpersistence = 'u' AS unlogged, coalesce(a.amname, '') = 'heap' AS heap,
       concat_ws(E'\n\n', columns.text, types.text) AS structure, types.unsure
FROM pg_class c
LEFT JOIN pg_am a ON a.oid = c.relam
LEFT JOIN columns ON columns.relation = c.oid
LEFT JOIN types ON types.relation = c.oid
WHERE c.oid = ANY (%(relations)s::oid[])
