-- For types, by oid: the built-in type behind domains, and whether its binary form means the same on every server.
-- Embedded OIDs (arrays of user types, composites, reg* types) do not; the built-in types that do are listed by the caller.
-- int2vector and oidvector are no arrays in this sense: an empty one can't be received.
WITH RECURSIVE resolved AS (
    SELECT t.oid AS asked, t.oid AS base FROM pg_type t WHERE t.oid = ANY (%(types)s::oid[])
    UNION ALL
    SELECT r.asked, t.typbasetype FROM resolved r JOIN pg_type t ON t.oid = r.base WHERE t.typtype = 'd'
)
SELECT r.asked::bigint, format_type(t.oid, NULL) AS base_type,
       t.typtype = 'e'
       OR (n.nspname = 'pg_catalog' AND t.typname = ANY (%(portable)s))
       OR (e.typarray = t.oid AND en.nspname = 'pg_catalog' AND e.typname = ANY (%(portable)s)) AS portable
FROM resolved r
JOIN pg_type t ON t.oid = r.base AND t.typtype <> 'd'
JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typelem <> 0
LEFT JOIN pg_namespace en ON en.oid = e.typnamespace
