"""What the target remembers of how servers write objects: of those that a run has made, and of no others."""

import pytest

from pg_migration_tests.orchestration.harness import Platform

# A server writes EXTRACT(YEAR ...), reads that, and from then on writes it in lower case.
WRITTEN_OTHERWISE = """
    CREATE DOMAIN d AS numeric DEFAULT extract('YEAR' FROM timestamp '2000-01-01');
    CREATE FUNCTION f(t timestamp) RETURNS numeric IMMUTABLE LANGUAGE sql RETURN extract('YEAR' FROM t);
    CREATE TABLE parent (id int PRIMARY KEY);
    CREATE TABLE t (
        id int PRIMARY KEY REFERENCES parent,
        at timestamp,
        year numeric DEFAULT extract('YEAR' FROM now()),
        CHECK (extract('YEAR' FROM at) > 0)
    );
    ALTER TABLE t ADD CONSTRAINT late CHECK (extract('YEAR' FROM at) > 1) NOT VALID;
    CREATE TABLE p (at timestamp, CHECK (extract('YEAR' FROM at) > 0)) PARTITION BY RANGE (at);
    CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2000-01-01') TO ('2001-01-01');
    CREATE INDEX i ON t (extract('YEAR' FROM at));
    CREATE INDEX pi ON p (extract('YEAR' FROM at));
    CREATE VIEW v AS SELECT extract('YEAR' FROM at) AS year FROM t;
    CREATE RULE r AS ON UPDATE TO p WHERE extract('YEAR' FROM old.at) > 1 DO INSTEAD NOTHING;
    CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    CREATE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW WHEN (extract('YEAR' FROM new.at) > 1) EXECUTE FUNCTION tf();
"""


@pytest.fixture
def written(platform: Platform) -> Platform:
    platform.source.psql(WRITTEN_OTHERWISE)
    platform.reload()
    return platform


def test_each_step_notes_what_it_has_made(written: Platform) -> None:
    parts = ("public/p", "public/p1")
    for step in (("target_ddl",), ("public/parent",), ("public/t",), parts, ("public/t/foreign_keys",), ("post_data",)):
        done = written.materialize(*step)
        assert done.success, done.failures
    structure = written.validate().every_check["post_data", "structure"]
    assert structure.passed, structure.metadata
    oids = "SELECT 'f'::regproc::oid, 'i'::regclass::oid, 'v'::regclass::oid, 't'::regclass::oid"
    before = written.target.psql(oids)
    done = written.materialize("target_ddl")
    assert done.success, done.failures
    assert written.target.psql(oids) == before
    assert done.metadata("target_ddl")["created"] == 0


def test_a_whole_run_notes_everything(written: Platform) -> None:
    for _ in range(2):
        done = written.migrate()
        assert done.success, done.failures
        structure = done.every_check["post_data", "structure"]
        assert structure.passed, structure.metadata
    assert done.metadata("target_ddl")["created"] == 0


SOMEBODY_ELSES = {
    "function": "CREATE OR REPLACE FUNCTION f(t timestamp) RETURNS numeric IMMUTABLE LANGUAGE sql RETURN 7",
    "index": "DROP INDEX i; CREATE INDEX i ON t (id, at)",
    "domain": "ALTER DOMAIN d SET DEFAULT 7",
    "default": "ALTER TABLE t ALTER year SET DEFAULT 7",
    "check": "ALTER TABLE t DROP CONSTRAINT t_at_check, ADD CONSTRAINT t_at_check CHECK (id > 7)",
    "key": "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD CONSTRAINT t_pkey PRIMARY KEY (at)",
    "foreign key": "ALTER TABLE t DROP CONSTRAINT t_id_fkey, ADD CONSTRAINT t_id_fkey FOREIGN KEY (id) "
    "REFERENCES parent ON DELETE CASCADE",
}


@pytest.mark.parametrize("change", SOMEBODY_ELSES.values(), ids=SOMEBODY_ELSES.keys())
def test_a_step_does_not_answer_for_what_others_made(written: Platform, change: str) -> None:
    done = written.migrate()
    assert done.success, done.failures
    arrived = written.target.dump("--schema=public")
    written.target.psql(change)
    written.materialize("post_data")
    structure = written.validate().every_check["post_data", "structure"]
    assert not structure.passed
    done = written.migrate()
    assert done.success, done.failures
    assert written.target.dump("--schema=public") == arrived
