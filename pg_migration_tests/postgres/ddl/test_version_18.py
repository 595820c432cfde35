"""What only PostgreSQL 18 has; and that an older target is told so."""

from collections.abc import Mapping

import pytest

from pg_migration.postgres.ddl import unsupported
from pg_migration.postgres.migration import Migration
from pg_migration.postgres.migration import migrate as migrate_all
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.ddl.round_trip import Pair, assert_same_dump, describe, migrate
from pg_migration_tests.postgres.ddl.together import verdicts

CASES = {
    "NOT NULL with names": """
        CREATE TABLE t (a int CONSTRAINT mine NOT NULL, b int NOT NULL NO INHERIT, c int NOT NULL);
        CREATE TABLE child (c int CONSTRAINT of_child NOT NULL) INHERITS (t);
        ALTER TABLE t ADD COLUMN d int;
        ALTER TABLE t ADD CONSTRAINT late NOT NULL d NOT VALID;
        ALTER TABLE t RENAME TO renamed;
    """,
    "valid in a child, not in its parent": """
        CREATE TABLE t (a int);
        ALTER TABLE t ADD CONSTRAINT late NOT NULL a NOT VALID;
        CREATE TABLE checked () INHERITS (t);
        CREATE TABLE strict (a int CONSTRAINT other NOT NULL);
        CREATE TABLE of_both () INHERITS (t, strict);
        CREATE TABLE p (a int) PARTITION BY LIST (a);
        ALTER TABLE p ADD CONSTRAINT late_too NOT NULL a NOT VALID;
        CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
    """,
    "not enforced": """
        CREATE TABLE t (a int PRIMARY KEY, CONSTRAINT c CHECK (a > 0) NOT ENFORCED);
        CREATE TABLE u (a int REFERENCES t NOT ENFORCED);
        CREATE TABLE above (a int, CONSTRAINT c CHECK (a > 0) NOT ENFORCED);
        CREATE TABLE below (own int) INHERITS (above);
        ALTER TABLE above ADD COLUMN late int;
    """,
    "virtual generated columns": "CREATE TABLE t (a int, v int GENERATED ALWAYS AS (a * 2) VIRTUAL NOT NULL);",
    "temporal constraints": """
        CREATE TABLE t (id int4range, valid daterange, PRIMARY KEY (id, valid WITHOUT OVERLAPS));
        CREATE TABLE u (id int4range, valid daterange,
                        FOREIGN KEY (id, PERIOD valid) REFERENCES t (id, PERIOD valid));
    """,
    "identity of a partitioned table": """
        CREATE TABLE t (a int GENERATED ALWAYS AS IDENTITY, b int) PARTITION BY RANGE (b);
        CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (1) TO (5);
    """,
    "domain with a named NOT NULL": "CREATE DOMAIN d AS int CONSTRAINT mine NOT NULL; CREATE DOMAIN e AS int NOT NULL;",
    "maintain": "CREATE TABLE t (a int); GRANT MAINTAIN ON t TO PUBLIC;",
}


@pytest.fixture(scope="module")
def together(postgres18: PostgresServer) -> Mapping[str, str]:
    """What is wrong with each of CASES."""
    return verdicts(postgres18, postgres18, {case: [ddl] for case, ddl in CASES.items()})


@pytest.mark.parametrize("case", CASES)
def test_dumps_alike(together: Mapping[str, str], case: str) -> None:
    assert not together[case], together[case]


@pytest.mark.parametrize(
    ("ddl", "line"),
    [
        ("CREATE TABLE t (a int, v int GENERATED ALWAYS AS (a * 2));", "table public.t: virtual generated column"),
        ("CREATE TABLE t (a int CHECK (a > 0) NOT ENFORCED);", "table public.t: NOT ENFORCED"),
        (CASES["temporal constraints"], "primary key t_pkey on public.t: temporal constraint"),
        (
            "CREATE VIEW v AS SELECT * FROM json_table(jsonb '[1]', '$[*]' COLUMNS (x int PATH '$'));",
            "view public.v: SQL/JSON function",
        ),
        (
            """
            CREATE TABLE t (a int);
            CREATE FUNCTION f() RETURNS void LANGUAGE sql BEGIN ATOMIC
                MERGE INTO t USING (VALUES (1)) s (b) ON a = b WHEN NOT MATCHED BY SOURCE THEN DELETE; END;
            """,
            "function public.f(): MERGE ... WHEN NOT MATCHED BY SOURCE",
        ),
        (
            """
            CREATE TABLE t (a int);
            CREATE FUNCTION f() RETURNS SETOF int LANGUAGE sql BEGIN ATOMIC
                UPDATE t SET a = 1 RETURNING WITH (OLD AS o) o.a; END;
            """,
            "function public.f(): OLD or NEW in RETURNING",
        ),
        (CASES["maintain"], 'privileges of table "public"."t": MAINTAIN privilege'),
    ],
)
def test_an_older_target_is_told(newest: Pair, ddl: str, line: str) -> None:
    newest.load(ddl)
    catalog = describe(newest.source_url)
    assert any(told.startswith(line) for told in unsupported(catalog, 160000))
    assert unsupported(catalog, 180000) == ()


def test_types_that_came_with_a_version(newest: Pair) -> None:
    newest.load("CREATE TABLE t (a xid8, b int4multirange[]); CREATE TABLE u (xid8 int)")
    catalog = describe(newest.source_url)
    assert unsupported(catalog, 140000) == ()
    assert [line.partition(" or ")[0] for line in unsupported(catalog, 120000)] == [
        "table public.t: type pg_snapshot",
        "table public.t: type datemultirange",
    ]


def test_without_new_features_a_downgrade_goes_through(downgrade: Pair) -> None:
    downgrade.load(
        """
        CREATE TYPE e AS ENUM ('a');
        CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a e NOT NULL, b text DEFAULT 'VIRTUAL');
        CREATE INDEX ON t (b);
        CREATE VIEW v AS SELECT id, b FROM t;
        CREATE VIEW w AS SELECT JSON_OBJECT('a': id) AS o, '{}' IS JSON AS j, '{}'::json AS c FROM t;
        CREATE FUNCTION f() RETURNS void LANGUAGE sql BEGIN ATOMIC MERGE INTO t USING v ON t.id = v.id
            WHEN NOT MATCHED THEN INSERT (b) VALUES ('MERGE INTO'); END;
        """
    )
    assert unsupported(describe(downgrade.source_url), 160000) == ()
    assert migrate(downgrade).failures == []
    assert_same_dump(downgrade)


# In 17 a domain may have several NOT NULL constraints. Nothing makes such a one in 18 but a look-alike in its catalog.
SEVERAL = """
    CREATE DOMAIN named AS int CONSTRAINT b NOT NULL; CREATE DOMAIN unnamed AS int NOT NULL CHECK (VALUE > 0);
    INSERT INTO pg_constraint
    SELECT (jsonb_populate_record(k, jsonb_build_object('oid', k.oid::int + 900000, 'conname', 'a'))).*
      FROM pg_constraint k JOIN pg_type t ON t.oid = k.contypid
     WHERE k.contype = 'n' AND t.typname IN ('named', 'unnamed');
    COMMENT ON CONSTRAINT a ON DOMAIN named IS 'gone'; COMMENT ON CONSTRAINT b ON DOMAIN named IS 'stays';
"""


def test_a_domain_has_one_not_null_where_an_older_server_had_several(postgres18: PostgresServer) -> None:
    source, target = postgres18.create_database(), postgres18.create_database()
    try:
        postgres18.psql(source, SEVERAL)
        for _ in range(2):
            assert migrate_all(Migration.between(source, target)).failures == ()
        dump = postgres18.dump_schema(target).splitlines()
        lines = [line for line in dump if line.startswith(("CREATE DOMAIN", "COMMENT ON CONSTRAINT"))]
        assert lines == [
            "CREATE DOMAIN public.named AS integer CONSTRAINT b NOT NULL;",
            "COMMENT ON CONSTRAINT b ON DOMAIN public.named IS 'stays';",
            "CREATE DOMAIN public.unnamed AS integer NOT NULL",
        ]
    finally:
        for url in (source, target):
            postgres18.drop_database(url)
