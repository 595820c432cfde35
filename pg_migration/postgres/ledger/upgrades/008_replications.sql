-- What keeps a target in step with its source after the copy, or has done so: one row for each time, written before each step,
-- so that every step can be undone or repeated. The name is that of the publication and the slot in the source and of the
-- subscription in the target.
CREATE TABLE _pg_migration.replication (
    name             text PRIMARY KEY,
    phase            text NOT NULL,
    run_id           text NOT NULL,             -- the run that copies, or has copied
    begun_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    source           json NOT NULL,             -- which database
    target           json NOT NULL,
    consistent_point text,                      -- of the slot: what is before it was copied, what comes after it is replicated
    tables           json NOT NULL,             -- what is published: OID, schema, name and columns
    reloaded         json NOT NULL,             -- what is not, and is copied at the cutover: schema and name
    identities       json NOT NULL,             -- tables whose replica identity was changed, and what it was before
    max_retained_wal bigint NOT NULL,           -- bytes
    max_lag_seconds  integer NOT NULL,          -- how far behind the target may be before somebody is warned
    fence            text,                      -- the position behind the last change that the source took
    fence_transaction bigint,                   -- the next transaction of the source then, in 64 bits
    validated_at     timestamptz,               -- when all rows were last shown to be the same on both sides
    resumed_at       text,                      -- the position at which replication went on last after an error
    read_only_before text,                      -- default_transaction_read_only of the source before the cutover, if it was set
    target_read_only_before text,               -- likewise of the target, before a way back
    way_back         text,                      -- the name of what replicates from the target to the source
    reason           text                       -- why it ended
);
