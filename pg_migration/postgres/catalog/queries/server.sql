-- What this server can do that another may not. The methods that it compresses with are those that one of its settings
-- may be set to (14 on).
SELECT (SELECT s.enumvals FROM pg_settings s WHERE s.name = 'default_toast_compression') AS compression_methods,
       to_regclass('_pg_migration.structure') IS NOT NULL AS remembers,
       to_regclass('_pg_migration.brought') IS NOT NULL AS knows_origins,
       to_regclass('_pg_migration.large_object') IS NOT NULL AS knows_large_objects,
       current_user::text AS role
