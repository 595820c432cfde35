"""Materialized views hold what their owners see, as they do in the source."""

from collections.abc import Iterator

import pytest

from pg_migration.postgres.migration import repair
from pg_migration_tests.orchestration.harness import Platform

OWNER = "view_owner"

# Of two rows, policies show one to the owner of the views; functions and views look who asks.
TENANTS = f"""
CREATE TABLE t (id int, tenant text);
INSERT INTO t VALUES (1, '{OWNER}'), (2, 'somebody else');
GRANT SELECT ON t TO {OWNER};
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON t USING (tenant = current_user);
CREATE TABLE forced (id int, tenant text);
INSERT INTO forced SELECT * FROM t;
ALTER TABLE forced OWNER TO {OWNER};
ALTER TABLE forced ENABLE ROW LEVEL SECURITY;
ALTER TABLE forced FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON forced USING (tenant = current_user);
CREATE FUNCTION only_me() RETURNS SETOF int LANGUAGE plpgsql AS
    $$ BEGIN IF current_user = '{OWNER}' THEN RETURN NEXT 1; END IF; RETURN NEXT 2; END $$;
GRANT USAGE, CREATE ON SCHEMA public TO {OWNER};
SET ROLE {OWNER};
CREATE MATERIALIZED VIEW mine AS SELECT * FROM t;
CREATE UNIQUE INDEX ON mine (id);
CREATE MATERIALIZED VIEW of_forced AS SELECT * FROM forced;
CREATE MATERIALIZED VIEW who AS SELECT current_user::text AS name;
CREATE MATERIALIZED VIEW called AS SELECT * FROM only_me();
CREATE VIEW between AS SELECT id FROM mine;
CREATE MATERIALIZED VIEW a_nested AS SELECT id, current_user::text AS name FROM between;
CREATE MATERIALIZED VIEW empty AS SELECT * FROM t WITH NO DATA;
RESET ROLE;
REVOKE CREATE ON SCHEMA public FROM {OWNER};
"""
ROWS = f"""
SELECT 'mine', * FROM mine; SELECT 'of_forced', * FROM of_forced; SELECT 'who', * FROM who;
SELECT 'called', * FROM called ORDER BY 2; SELECT 'nested', * FROM a_nested;
SELECT relname, relispopulated FROM pg_class WHERE relkind = 'm' ORDER BY 1;
SELECT DISTINCT pg_get_userbyid(relowner) = '{OWNER}' FROM pg_class WHERE relkind = 'm';
"""


@pytest.fixture
def tenants(platform: Platform) -> Iterator[Platform]:
    ends = (platform.source, platform.target)
    for end in ends:
        end.psql(f"CREATE ROLE {OWNER}")
    platform.source.psql(TENANTS)
    yield platform
    for end in ends:
        end.psql(f"DROP OWNED BY {OWNER} CASCADE; DROP ROLE {OWNER}")


def test_they_are_filled_as_their_owners_every_time(tenants: Platform) -> None:
    assert tenants.migrate_directly().failures == ()
    assert tenants.target.psql(ROWS) == tenants.source.psql(ROWS)
    assert "mine|1" in tenants.target.psql(ROWS)
    tenants.source.psql(
        f"""INSERT INTO t VALUES (3, '{OWNER}'), (4, 'somebody else'); INSERT INTO forced VALUES (3, '{OWNER}');
        REFRESH MATERIALIZED VIEW mine; REFRESH MATERIALIZED VIEW of_forced; REFRESH MATERIALIZED VIEW a_nested;"""
    )
    assert tenants.migrate_directly().failures == ()
    assert tenants.target.psql(ROWS) == tenants.source.psql(ROWS)
    assert "nested|3" in tenants.target.psql(ROWS)


def test_an_owner_that_may_no_longer_read_is_told(tenants: Platform) -> None:
    tenants.source.psql(f"REVOKE SELECT ON t FROM {OWNER}")
    told = "\n".join(tenants.migrate_directly().failures)
    assert "materialized view rows public.mine could not be made on the target: permission denied for table t" in told
    assert "filled with the rights of its owner" in told
    assert tenants.target.psql("SELECT name FROM who") == OWNER


OVER_TABLES = f"""
CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1), (2);
CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1);
CREATE TABLE p (id int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1, 2);
CREATE TABLE pp PARTITION OF p FOR VALUES IN (3, 4) PARTITION BY LIST (id); CREATE TABLE p3 PARTITION OF pp DEFAULT;
INSERT INTO p VALUES (1), (2), (3), (4);
CREATE FUNCTION f() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM public.a); END';
CREATE MATERIALIZED VIEW direct AS SELECT id, current_user::text AS name FROM a;
ALTER MATERIALIZED VIEW direct OWNER TO {OWNER}; GRANT SELECT ON a TO {OWNER};
CREATE VIEW between AS SELECT * FROM direct;
CREATE MATERIALIZED VIEW a_nested AS SELECT count(*) FROM between;
CREATE MATERIALIZED VIEW of_root AS SELECT * FROM p;
CREATE MATERIALIZED VIEW called AS SELECT f();
CREATE MATERIALIZED VIEW of_other AS SELECT * FROM other;
CREATE MATERIALIZED VIEW empty AS SELECT * FROM a WITH NO DATA;
REFRESH MATERIALIZED VIEW direct; REFRESH MATERIALIZED VIEW a_nested;
"""
CONTENTS = """
SELECT 'direct', * FROM direct ORDER BY 2; SELECT 'nested', * FROM a_nested; SELECT 'root', * FROM of_root ORDER BY 2;
SELECT 'called', * FROM called; SELECT 'other', * FROM of_other;
SELECT relispopulated FROM pg_class WHERE relname = 'empty';
"""
OF_OTHER = "SELECT pg_relation_filenode('of_other')"


@pytest.fixture
def owner(platform: Platform) -> Iterator[Platform]:
    for end in (platform.source, platform.target):
        end.psql(f"CREATE ROLE {OWNER}")
    yield platform
    for end in (platform.source, platform.target):
        end.psql(f"DROP OWNED BY {OWNER} CASCADE; DROP ROLE {OWNER}")


def test_a_repair_fills_those_over_what_it_reloaded(owner: Platform) -> None:
    owner.source.psql(OVER_TABLES)
    assert owner.migrate_directly().failures == ()
    as_in_source = owner.source.psql(CONTENTS)
    kept = owner.target.psql(OF_OTHER)
    owner.target.psql(
        "DELETE FROM a WHERE id = 2; DELETE FROM p WHERE id IN (2, 4); REFRESH MATERIALIZED VIEW direct;"
        "REFRESH MATERIALIZED VIEW a_nested; REFRESH MATERIALIZED VIEW of_root; REFRESH MATERIALIZED VIEW called;"
    )
    assert owner.target.psql(CONTENTS) != as_in_source
    assert repair(owner.migration()).failures == ()
    assert owner.target.psql(CONTENTS) == as_in_source
    assert owner.target.psql(OF_OTHER) == kept
    # What somebody dropped is no matter of a repair.
    owner.target.psql("DELETE FROM a WHERE id = 2; DROP MATERIALIZED VIEW direct CASCADE")
    assert repair(owner.migration()).failures == ()
    assert owner.target.psql("SELECT * FROM called") == "2"
