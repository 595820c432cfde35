"""The second run, after both sides changed."""

from difflib import unified_diff

import pytest

from pg_migration.postgres.catalog import Catalog
from pg_migration.postgres.migration import run as runs
from pg_migration_tests.orchestration.harness import Platform

BEFORE = """
    CREATE DOMAIN amount AS int;
    CREATE TYPE span AS (first amount, last amount);
    CREATE TYPE mood AS ENUM ('a', 'c');
    CREATE TABLE things (id int PRIMARY KEY, n amount, several amount[], s span, m mood, label text, old int);
    INSERT INTO things VALUES (1, 50, '{60}', '(70,80)', 'a', 'x', NULL);
    ALTER DOMAIN amount ADD CONSTRAINT small CHECK (VALUE < 10) NOT VALID;
    CREATE TABLE once (id int PRIMARY KEY); INSERT INTO once VALUES (1);
    CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE VIEW v AS SELECT id, f(id) AS x FROM things;
    GRANT SELECT ON v TO pg_monitor; COMMENT ON VIEW v IS 'x';
"""
CHANGES = """
    ALTER TYPE mood ADD VALUE 'b' BEFORE 'c';
    INSERT INTO things VALUES (2, 5, '{6}', '(7,8)', 'b', 'y', 3); DELETE FROM things WHERE id = 1;
    UPDATE things SET old = 1;
    ALTER TABLE things ALTER old SET NOT NULL, ADD CHECK (id > 1), ALTER label SET STORAGE MAIN;
    ALTER TABLE things SET (fillfactor = 70);
    DROP TABLE once; REVOKE SELECT ON v FROM pg_monitor; COMMENT ON VIEW v IS NULL;
"""
WITHOUT_BOOKKEEPING = ("--schema=public",)


SET_ASIDE = """
    CREATE TABLE up (id int PRIMARY KEY, u int UNIQUE); INSERT INTO up VALUES (1, 2);
    CREATE TABLE down (a int CONSTRAINT fk REFERENCES up, b int CONSTRAINT other REFERENCES up (u));
    INSERT INTO down VALUES (1, 2);
    CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER tr BEFORE INSERT ON down FOR EACH ROW EXECUTE FUNCTION tf();
    CREATE RULE ru AS ON DELETE TO down DO ALSO NOTHING;
"""
DROPPED_OR_MADE_OTHERWISE = (
    "ALTER TABLE down DROP CONSTRAINT fk; ALTER TABLE up DROP CONSTRAINT up_u_key CASCADE",
    """
    ALTER TABLE down ADD CONSTRAINT fk FOREIGN KEY (a) REFERENCES up; DROP TRIGGER tr ON down;
    CREATE TRIGGER tr AFTER INSERT ON down FOR EACH ROW EXECUTE FUNCTION tf(); ALTER TABLE down DISABLE TRIGGER tr
    """,
    """
    ALTER TABLE down DROP CONSTRAINT fk; DROP TRIGGER tr ON down; DROP RULE ru ON down;
    ALTER TABLE down ADD CONSTRAINT fk FOREIGN KEY (a) REFERENCES up ON DELETE CASCADE
    """,
)


def test_what_the_source_set_and_took_back(platform: Platform) -> None:
    """Rows that a constraint which is not validated refuses come again; what was set aside while they come does not."""
    steps = (BEFORE + SET_ASIDE, *DROPPED_OR_MADE_OTHERWISE)
    for statements in steps[:-1]:
        platform.source.psql(statements)
        assert platform.migrate_directly().failures == ()
        assert platform.source.dump(*WITHOUT_BOOKKEEPING) == platform.target.dump(*WITHOUT_BOOKKEEPING)
    platform.source.psql(steps[-1] + ";" + CHANGES)
    platform.target.psql("CREATE VIEW theirs AS SELECT x FROM v")
    done = platform.migrate_directly()
    assert done.failures == ()  # the comparison of the structure found nothing either
    told = "\n".join(done.notes)
    assert "dropped in the target: table public.once, which the source does not have any more" in told
    assert "it never came from this source: view public.theirs" in told
    platform.target.psql("DROP VIEW theirs")
    assert platform.source.dump(*WITHOUT_BOOKKEEPING) == platform.target.dump(*WITHOUT_BOOKKEEPING)


def test_the_job_discovers_the_target_twice(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    discover, read = runs.discover, list[str]()

    def counted(*args: object, **named: object) -> Catalog:
        read.append("target" if "brought_from" in named else "source")
        return discover(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(runs, "discover", counted)
    done = shop.migrate()
    assert done.success, done.failures
    assert read == ["source", "target", "target"]


def test_what_fails_costs_nothing_that_was_there(platform: Platform) -> None:
    """A statement that fails, and then a setting, which keeps nobody from the table."""
    platform.source.psql(BEFORE)
    assert platform.migrate_directly().succeeded
    before = platform.target.dump(*WITHOUT_BOOKKEEPING)
    platform.source.psql(
        "CREATE SCHEMA elsewhere; CREATE FUNCTION elsewhere.g() RETURNS text LANGUAGE sql AS 'SELECT ''x''';"
        "DROP VIEW v; CREATE VIEW v AS SELECT id, elsewhere.g() AS y FROM things; CREATE VIEW w AS SELECT y FROM v;"
        "GRANT SELECT ON v TO pg_monitor; COMMENT ON VIEW v IS 'x'"
    )
    assert "view public.v" in "\n".join(platform.migrate_directly().failures)
    after = platform.target.dump(*WITHOUT_BOOKKEEPING)
    assert not list(unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1))

    platform.source.psql(
        "DROP VIEW v CASCADE; CREATE VIEW v AS SELECT id, f(id) AS x FROM things;"
        "ALTER TABLE things SET (fillfactor = 70); INSERT INTO things VALUES (3, 5, '{6}', '(7,8)', 'a')"
    )
    platform.target.psql(
        "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN"
        " IF current_query() LIKE '%fillfactor%' THEN RAISE 'refused'; END IF; END$$;"
        "CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION refuse();"
        "ALTER EXTENSION plpgsql ADD EVENT TRIGGER refuse"
    )
    assert "settings of table public.things" in "\n".join(platform.migrate_directly().failures)
    assert platform.target.psql("SELECT count(*) FROM things") == "2"
    assert platform.target.psql("SELECT count(*) FROM v") == "2"
