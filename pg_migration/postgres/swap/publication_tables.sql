-- The tables of some schemas that publications name, with the columns and the rows that are published of each (from 15 on).
SELECT n.nspname, p.pubname, c.relname,
       (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.place)
          FROM unnest(r.prattrs::smallint[]) WITH ORDINALITY AS k (number, place)
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number),
       pg_get_expr(r.prqual, r.prrelid)
  FROM pg_publication_rel r
  JOIN pg_publication p ON p.oid = r.prpubid
  JOIN pg_class c ON c.oid = r.prrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = ANY (%(schemas)s::text[])
   AND coalesce(to_jsonb(r) ->> 'prexcept', 'false') = 'false'
 ORDER BY 1, 2, 3
