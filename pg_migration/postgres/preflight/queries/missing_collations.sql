-- Of some names, those that are no collation of the system in this database's encoding.
SELECT w.name
  FROM unnest(%(names)s::text[]) AS w (name)
 WHERE NOT EXISTS (SELECT FROM pg_collation c
                    WHERE c.collname = w.name AND c.collnamespace = 'pg_catalog'::regnamespace
                      AND c.collencoding IN (-1, (SELECT d.encoding FROM pg_database d WHERE d.datname = current_database())))
 ORDER BY 1
