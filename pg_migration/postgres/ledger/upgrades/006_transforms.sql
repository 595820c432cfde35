-- What was chosen and masked of the source's rows, for each schema of the target that a transform was applied to: the digest
-- of that (and of its key, of which it shows nothing), and the moment that its conditions took for now.
CREATE TABLE _pg_migration.transform (
    schema_name text PRIMARY KEY,
    run_id      text NOT NULL,
    digest      text NOT NULL,
    moment      timestamptz NOT NULL
);
