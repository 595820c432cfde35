"""Materialized views hold what their owners see, as they do in the source."""

from collections.abc import Iterator

import pytest

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
    assert tenants.migrate().failures == {}
    assert tenants.target.psql(ROWS) == tenants.source.psql(ROWS)
    assert "mine|1" in tenants.target.psql(ROWS)
    tenants.source.psql(
        f"""INSERT INTO t VALUES (3, '{OWNER}'), (4, 'somebody else'); INSERT INTO forced VALUES (3, '{OWNER}');
        REFRESH MATERIALIZED VIEW mine; REFRESH MATERIALIZED VIEW of_forced; REFRESH MATERIALIZED VIEW a_nested;"""
    )
    assert tenants.migrate().failures == {}
    assert tenants.target.psql(ROWS) == tenants.source.psql(ROWS)
    assert "nested|3" in tenants.target.psql(ROWS)


def test_an_owner_that_may_no_longer_read_is_told(tenants: Platform) -> None:
    tenants.source.psql(f"REVOKE SELECT ON t FROM {OWNER}")
    done = tenants.migrate()
    told = "\n".join(done.failures.values())
    assert "materialized view rows public.mine could not be made on the target: permission denied for table t" in told
    assert "filled with the rights of its owner" in told
    assert tenants.target.psql("SELECT name FROM who") == OWNER
