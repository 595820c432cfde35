-- The bookkeeping of pg_migration in a target database, as the first release made it. Ledgers had no version then, and some
-- of these tables were made when there was something to write to them: so IF NOT EXISTS here and in the next file. Later
-- files know what they meet.
CREATE TABLE IF NOT EXISTS _pg_migration.run (
    run_id         text PRIMARY KEY,
    source         text NOT NULL,               -- address without password
    snapshot       text NOT NULL,
    snapshot_at    timestamptz NOT NULL,
    started_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at    timestamptz,
    succeeded      boolean,
    snapshot_xmin  bigint,                      -- transactions of the source below it had ended; counts in 64 bits
    source_server  text                         -- the life of the source's server in which that number holds
);

-- One row per chunk, written in the transaction of its COPY: a row is here if and only if its rows are in the table.
CREATE TABLE IF NOT EXISTS _pg_migration.chunk (
    schema_name    text NOT NULL,
    table_name     text NOT NULL,
    range_key      text NOT NULL,
    chunk          integer NOT NULL,
    chunks         integer NOT NULL,            -- how many the range was cut into
    relation       oid NOT NULL,                -- a table dropped and made again is another relation, with nothing loaded
    run_id         text NOT NULL,
    snapshot       text NOT NULL,
    predicate      text NOT NULL,
    row_count      bigint NOT NULL,
    byte_count     bigint NOT NULL,
    started_at     timestamptz NOT NULL,
    finished_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    target_xid     bigint,                      -- the transaction that wrote the rows: their xmin; counts in 64 bits
    copied_by      text,                        -- the run that wrote them; run_id is the one whose snapshot they are of
    PRIMARY KEY (schema_name, table_name, range_key, chunk)
);

-- How the last run that loaded a whole table cut it, and what it looked like on both sides: what a run that comes after a
-- failed one needs to know to go on with the table.
CREATE TABLE IF NOT EXISTS _pg_migration.plan (
    schema_name      text NOT NULL,
    table_name       text NOT NULL,
    run_id           text NOT NULL,
    source_relation  oid NOT NULL,
    source_file      oid NOT NULL,              -- relfilenode: another one after whatever rewrites or empties the table
    source_structure text NOT NULL,
    target_structure text NOT NULL,
    settings         json NOT NULL,             -- what the cutting depended on
    ranges           json NOT NULL,             -- [range key, [predicate of each chunk]], in order
    PRIMARY KEY (schema_name, table_name)
);

-- What was taken away from a target table for the time of a load, and the statement that brings it back.
CREATE TABLE IF NOT EXISTS _pg_migration.suspended (
    schema_name    text NOT NULL,
    table_name     text NOT NULL,
    kind           text NOT NULL,
    name           text NOT NULL,
    restore        text NOT NULL,
    referenced_schema text,                     -- of a foreign key: the table that it points to; of a parent's
                                                -- constraint: the table that it was set aside for
    referenced_table  text,
    PRIMARY KEY (schema_name, table_name, kind, name)
);

-- What the source's tables looked like in a run's snapshot: how a later comparison knows that they have changed since.
CREATE TABLE IF NOT EXISTS _pg_migration.source_state (
    run_id         text NOT NULL,
    schema_name    text NOT NULL,               -- in the target
    table_name     text NOT NULL,
    relation       oid NOT NULL,                -- in the source
    file           bigint,                      -- relfilenode: another one after whatever rewrites or empties the table
    transactions   text NOT NULL,               -- the snapshot, as txid_current_snapshot() writes it
    inserted       bigint NOT NULL,             -- rows, as the source's statistics had counted them
    updated        bigint NOT NULL,
    deleted        bigint NOT NULL,
    PRIMARY KEY (run_id, schema_name, table_name)
);

-- The source's sequences when they were read; the names are the target's.
CREATE TABLE IF NOT EXISTS _pg_migration.sequence_position (
    schema_name    text NOT NULL,
    sequence_name  text NOT NULL,
    read_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_value     bigint NOT NULL,
    is_called      boolean NOT NULL,
    PRIMARY KEY (schema_name, sequence_name)
);

-- How each server writes one and the same object, as digests of its DDL.
CREATE TABLE IF NOT EXISTS _pg_migration.structure (
    identity       text PRIMARY KEY,
    source_digest  text NOT NULL,
    target_digest  text NOT NULL
);

-- The files that were run on this ledger, by their numbers.
CREATE TABLE IF NOT EXISTS _pg_migration.version (
    version        integer PRIMARY KEY,
    upgraded_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
