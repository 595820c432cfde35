-- Where things in the target came from: which database each run read and what it brought; and what others have written.
ALTER TABLE _pg_migration.run
    ADD COLUMN IF NOT EXISTS identities json;   -- of source and target, by which both are known again

-- How far the target's server had counted what is written to a table when our last run on it ended. What it counts beyond
-- that others have written.
CREATE TABLE IF NOT EXISTS _pg_migration.target_state (
    schema_name    text NOT NULL,
    table_name     text NOT NULL,
    relation       oid NOT NULL,
    inserted       bigint NOT NULL,
    updated        bigint NOT NULL,
    deleted        bigint NOT NULL,
    PRIMARY KEY (schema_name, table_name)
);

-- The objects that migrations have made, with the database and the schema that each came from.
CREATE TABLE IF NOT EXISTS _pg_migration.brought (
    identity       text PRIMARY KEY,
    source         text NOT NULL,
    source_schema  text NOT NULL
);

-- Tables of extensions whose rows a migration has loaded.
CREATE TABLE IF NOT EXISTS _pg_migration.extension_rows (
    schema_name    text,
    table_name     text,
    PRIMARY KEY (schema_name, table_name)
);
