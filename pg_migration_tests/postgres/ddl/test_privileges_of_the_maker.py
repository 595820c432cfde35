"""What the source grants the role that migrates, on things that it will own in the target: nothing is missing there."""

from collections.abc import Iterator

import pytest

from pg_migration.postgres.migration import Migration, Options, compare, migrate
from pg_migration_tests.conftest import PostgresServer

MAKER, OWNER, OTHER = '"mak ""er"', "keeps", "reads"
ROLES = "; ".join(f"CREATE ROLE {role}" for role in (OWNER, OTHER))
# Each kind of thing with privileges, granted to the maker: alone, with grant option, beside another role, in its name.
GRANTED = f"""
CREATE SCHEMA s AUTHORIZATION {OWNER}; SET ROLE {OWNER};
CREATE TABLE s.t (a serial, b int GENERATED ALWAYS AS IDENTITY, c int); CREATE TABLE s.only_columns (a int);
CREATE SEQUENCE s.q; CREATE VIEW s.v AS SELECT 1 AS x; CREATE MATERIALIZED VIEW s.m AS SELECT 1 AS x;
CREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE PROCEDURE s.p() LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE s.agg(int) (SFUNC = int4pl, STYPE = int);
CREATE TYPE s.e AS ENUM ('x'); CREATE DOMAIN s.d AS int; CREATE TYPE s.r AS RANGE (SUBTYPE = int4);
GRANT USAGE ON SCHEMA s TO {MAKER} WITH GRANT OPTION; GRANT CREATE ON SCHEMA s TO {MAKER};
GRANT SELECT ON s.t TO {MAKER}; GRANT INSERT ON s.t TO {MAKER} WITH GRANT OPTION;
GRANT UPDATE ON s.t TO {MAKER}, {OTHER} WITH GRANT OPTION; GRANT INSERT, DELETE ON s.t TO {OTHER};
REVOKE TRUNCATE ON s.t FROM {OWNER};
GRANT SELECT (a), UPDATE (a) ON s.only_columns TO {MAKER}; GRANT REFERENCES (a) ON s.only_columns TO {OTHER};
GRANT USAGE ON SEQUENCE s.q, s.t_a_seq, s.t_b_seq TO {MAKER}; GRANT SELECT ON s.v TO {MAKER};
GRANT SELECT ON s.m TO {MAKER}, {OTHER}; REVOKE EXECUTE ON FUNCTION s.f() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION s.f(), s.agg(int) TO {MAKER}; GRANT EXECUTE ON PROCEDURE s.p() TO {MAKER} WITH GRANT OPTION;
REVOKE EXECUTE ON PROCEDURE s.p() FROM PUBLIC; GRANT USAGE ON TYPE s.e, s.d, s.r TO {MAKER};
RESET ROLE; SET ROLE {MAKER};
GRANT USAGE ON SCHEMA s TO {OTHER}; GRANT INSERT ON s.t TO {OTHER} WITH GRANT OPTION;
GRANT UPDATE ON s.t TO {OTHER};
GRANT EXECUTE ON PROCEDURE s.p() TO {OTHER}; RESET ROLE;
ALTER DEFAULT PRIVILEGES FOR ROLE {MAKER} IN SCHEMA s GRANT SELECT ON TABLES TO {OTHER};
"""
# What others than the owner may do.
LEFT = """
WITH held AS (
    SELECT n.nspname::text AS name, n.nspacl AS acl, n.nspowner AS owner FROM pg_namespace n WHERE n.nspname = 's'
    UNION ALL SELECT c.relname, c.relacl, c.relowner FROM pg_class c
              WHERE c.relnamespace = 's'::regnamespace AND c.relkind <> 'c'
    UNION ALL SELECT c.relname || '.' || a.attname, a.attacl, c.relowner FROM pg_attribute a
              JOIN pg_class c ON c.oid = a.attrelid WHERE c.relnamespace = 's'::regnamespace AND a.attnum > 0
    UNION ALL SELECT p.proname, coalesce(p.proacl, acldefault('f', p.proowner)), p.proowner FROM pg_proc p
              WHERE p.pronamespace = 's'::regnamespace
    UNION ALL SELECT t.typname, coalesce(t.typacl, acldefault('T', t.typowner)), t.typowner FROM pg_type t
              WHERE t.typnamespace = 's'::regnamespace AND t.typname IN ('e', 'd', 'r'))
SELECT DISTINCT h.name, CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END, x.privilege_type,
       bool_or(x.is_grantable)
  FROM held h CROSS JOIN LATERAL aclexplode(h.acl) AS x
 WHERE x.grantee NOT IN (h.owner, '"mak ""er"'::regrole)
 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""


@pytest.fixture
def ends(
    postgres16: PostgresServer, postgres18: PostgresServer, source_db: str, target_db: str
) -> Iterator[tuple[str, str]]:
    """A source, and a target whose database belongs to the role that connects."""
    made = f"{ROLES}; CREATE ROLE {MAKER} LOGIN PASSWORD 'x'"
    postgres16.psql(source_db, f"{made}; {GRANTED}")
    postgres18.psql(target_db, f'{made}; ALTER DATABASE "{target_db.rpartition("/")[2]}" OWNER TO {MAKER}')
    yield source_db, "postgresql://mak%20%22er:x@" + target_db.rpartition("@")[2]
    for server, url in ((postgres16, source_db), (postgres18, target_db)):
        server.psql(url, f'ALTER DATABASE "{url.rpartition("/")[2]}" OWNER TO postgres')
        for role in (MAKER, OWNER, OTHER):
            server.psql(url, f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


@pytest.mark.parametrize("owners", ["best_effort", pytest.param(False, marks=pytest.mark.longer)])
def test_what_the_maker_owns_needs_no_grants(
    ends: tuple[str, str], postgres16: PostgresServer, postgres18: PostgresServer, target_db: str, owners: object
) -> None:
    migration = Migration.between(*ends, "s", options=Options(owners=owners))
    for later in ("", f"SET ROLE {OWNER}; CREATE TABLE s.later (a int); GRANT SELECT ON s.later TO {MAKER}"):
        postgres16.psql(ends[0], later)
        assert migrate(migration).failures == ()
        assert postgres18.psql(target_db, LEFT) == postgres16.psql(ends[0], LEFT)
    if owners is False:
        assert compare(migration) == []
    assert migrate(migration).failures == ()
