-- For the columns of a relation, by name: the function that gives a value's binary form, where that is the same on every
-- server. NULL where it is not, or where the binary form may hold an OID. The built-in types are listed by the caller.
WITH RECURSIVE resolved AS (
    SELECT a.attname, a.atttypid AS type FROM pg_attribute a
    WHERE a.attrelid = %(relation)s::regclass AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT r.attname, t.typbasetype FROM resolved r JOIN pg_type t ON t.oid = r.type WHERE t.typtype = 'd'
)
SELECT r.attname,
       CASE WHEN n.nspname = 'pg_catalog' AND t.typname = ANY (%(portable)s) THEN s.proname END AS send
FROM resolved r
JOIN pg_type t ON t.oid = r.type AND t.typtype <> 'd'
JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_proc s ON s.oid = t.typsend
