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
)
