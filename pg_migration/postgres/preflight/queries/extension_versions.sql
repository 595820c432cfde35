-- Versions of some extensions (names), as installed.
SELECT e.extname, e.extversion FROM pg_extension e WHERE e.extname = ANY (%(names)s) ORDER BY 1
