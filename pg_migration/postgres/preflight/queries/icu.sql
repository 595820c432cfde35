-- Whether the server was built with ICU: initdb makes a collation of each locale that ICU has. The collation unicode is there
-- without it, too.
SELECT EXISTS (SELECT
                 FROM pg_catalog.pg_collation
                WHERE collprovider = 'i'
                  AND collnamespace = 'pg_catalog'::pg_catalog.regnamespace
                  AND collname <> 'unicode')
