-- How far the run is that is going on, or how far the last one was when it told of it last.
CREATE TABLE _pg_migration.progress (
    run_id         text PRIMARY KEY,
    told_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    progress       json NOT NULL                -- see transfer/progress.py
);
