-- The parameters that a setting of the database may be of.
SELECT s.name FROM pg_settings s
