-- Everything in a database that has rows or stands for some: tables of every kind and views.
SELECT n.nspname::text AS schema,
       c.relname::text AS name
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
   AND c.oid >= 16384
