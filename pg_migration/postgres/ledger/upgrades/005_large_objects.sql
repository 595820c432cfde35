-- The large objects that migrations have brought: by which run, and what they were in the source when they were copied (where
-- that was hashed; see large_objects/states.sql).
CREATE TABLE _pg_migration.large_object (
    loid           oid PRIMARY KEY,
    run_id         text NOT NULL,
    size           bigint NOT NULL,
    digest         numeric
);
