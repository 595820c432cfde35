-- The schemas that runs keep beside a live one: what is loaded to take its place, and what was in it before. The namespace
-- tells a schema of ours from one that somebody has made under the same name since.
CREATE TABLE _pg_migration.shadow (
    schema_name    text PRIMARY KEY,
    namespace      oid NOT NULL,
    live_schema    text NOT NULL,
    run_id         text NOT NULL,
    made_at        timestamptz NOT NULL DEFAULT clock_timestamp()
);
