"""The ledgers of earlier versions, as their own DDL made them, with something in each table."""

# All the tables of 0.1.0; some of them were made when there was something to write to them.
FIRST_RELEASE = """
CREATE SCHEMA _pg_migration;
CREATE TABLE _pg_migration.run (
    run_id text PRIMARY KEY, source text NOT NULL, snapshot text NOT NULL, snapshot_at timestamptz NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(), finished_at timestamptz, succeeded boolean,
    snapshot_xmin bigint, source_server text
);
CREATE TABLE _pg_migration.chunk (
    schema_name text NOT NULL, table_name text NOT NULL, range_key text NOT NULL, chunk integer NOT NULL,
    chunks integer NOT NULL, relation oid NOT NULL, run_id text NOT NULL, snapshot text NOT NULL,
    predicate text NOT NULL, row_count bigint NOT NULL, byte_count bigint NOT NULL, started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT clock_timestamp(), target_xid bigint, copied_by text,
    PRIMARY KEY (schema_name, table_name, range_key, chunk)
);
CREATE TABLE _pg_migration.plan (
    schema_name text NOT NULL, table_name text NOT NULL, run_id text NOT NULL, source_relation oid NOT NULL,
    source_file oid NOT NULL, source_structure text NOT NULL, target_structure text NOT NULL, settings json NOT NULL,
    ranges json NOT NULL,
    PRIMARY KEY (schema_name, table_name)
);
CREATE TABLE _pg_migration.suspended (
    schema_name text NOT NULL, table_name text NOT NULL, kind text NOT NULL, name text NOT NULL, restore text NOT NULL,
    referenced_schema text, referenced_table text,
    PRIMARY KEY (schema_name, table_name, kind, name)
);
"""
FIRST_RELEASE_LATER = """
CREATE TABLE _pg_migration.source_state (
    run_id text NOT NULL, schema_name text NOT NULL, table_name text NOT NULL, relation oid NOT NULL, file bigint,
    transactions text NOT NULL, inserted bigint NOT NULL, updated bigint NOT NULL, deleted bigint NOT NULL,
    PRIMARY KEY (run_id, schema_name, table_name)
);
CREATE TABLE _pg_migration.sequence_position (
    schema_name text NOT NULL, sequence_name text NOT NULL, read_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_value bigint NOT NULL, is_called boolean NOT NULL,
    PRIMARY KEY (schema_name, sequence_name)
);
CREATE TABLE _pg_migration.structure (
    identity text PRIMARY KEY, source_digest text NOT NULL, target_digest text NOT NULL
);
"""
WRITTEN_BY_THE_FIRST_RELEASE = """
INSERT INTO _pg_migration.run VALUES
    ('aaaa', 'postgresql://ann@db/shop', '1:2:', '2025-01-01', '2025-01-01', '2025-01-02', true, 700, 'life');
INSERT INTO _pg_migration.chunk VALUES
    ('public', 't', 'all', 0, 1, 16400, 'aaaa', '1:2:', 'true', 3, 99, '2025-01-01', '2025-01-01', 800, 'aaaa');
INSERT INTO _pg_migration.plan VALUES
    ('public', 't', 'aaaa', 16390, 16390, 'ours', 'theirs', '{"chunk_size": 100}', '[["all", ["true"]]]');
INSERT INTO _pg_migration.suspended VALUES
    ('public', 't', 'trigger', 'tr', 'ALTER TABLE t ENABLE TRIGGER tr', NULL, NULL);
"""
WRITTEN_LATER_BY_THE_FIRST_RELEASE = """
INSERT INTO _pg_migration.source_state VALUES ('aaaa', 'public', 't', 16390, 16390, '1:2:', 3, 0, 0);
INSERT INTO _pg_migration.sequence_position VALUES ('public', 't_id_seq', '2025-01-01', 3, true);
INSERT INTO _pg_migration.structure VALUES ('(''view'', ''public'', None, ''v'')', 'a', 'b');
"""

# What came before the ledger had versions.
UNNUMBERED = """
ALTER TABLE _pg_migration.run ADD COLUMN identities json;
CREATE TABLE _pg_migration.target_state (
    schema_name text NOT NULL, table_name text NOT NULL, relation oid NOT NULL, inserted bigint NOT NULL,
    updated bigint NOT NULL, deleted bigint NOT NULL,
    PRIMARY KEY (schema_name, table_name)
);
UPDATE _pg_migration.run SET identities = '{"source": {}, "target": {}}';
INSERT INTO _pg_migration.target_state VALUES ('public', 't', 16400, 3, 0, 0);
"""
UNNUMBERED_LATER = """
CREATE TABLE _pg_migration.brought (identity text PRIMARY KEY, source text NOT NULL, source_schema text NOT NULL);
CREATE TABLE _pg_migration.extension_rows (schema_name text, table_name text, PRIMARY KEY (schema_name, table_name));
INSERT INTO _pg_migration.brought VALUES ('(''view'', ''public'', None, ''v'')', 'db/shop', 'public');
INSERT INTO _pg_migration.extension_rows VALUES ('public', 'spatial_ref_sys');
"""

_FIRST = FIRST_RELEASE + WRITTEN_BY_THE_FIRST_RELEASE
_FIRST_COMPLETE = _FIRST + FIRST_RELEASE_LATER + WRITTEN_LATER_BY_THE_FIRST_RELEASE
OLD_LEDGERS = {
    "0.1.0, after a first step": _FIRST,
    "0.1.0": _FIRST_COMPLETE,
    "without a version, after a first step": _FIRST + UNNUMBERED,
    "without a version": _FIRST_COMPLETE + UNNUMBERED + UNNUMBERED_LATER,
}


WITHOUT_VERSIONS = """
    ALTER TABLE _pg_migration.chunk DROP digest_form, DROP digest_hashed, DROP digest_total, DROP digest_mixed;
    DROP TABLE _pg_migration.version, _pg_migration.progress, _pg_migration.large_object, _pg_migration.transform,
        _pg_migration.shadow, _pg_migration.replication;
"""
"""Makes a ledger of today one of the time before they had versions, but for what upgrade 002 brought."""
