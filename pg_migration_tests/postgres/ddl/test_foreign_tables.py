"""Foreign tables are not copied: what leans on them is left out and named, unless the target has them."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest

from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.ddl.round_trip import Migrated, Pair, assert_same_dump, migrate, pair_of

ELSEWHERE = "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER elsewhere FOREIGN DATA WRAPPER w;"
TABLE = "CREATE FOREIGN TABLE far (a int, b text) SERVER elsewhere;"
FAR = ELSEWHERE + TABLE
KEPT = "CREATE TABLE kept (a int DEFAULT 1); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';"
# What leans on it, and what of it is told.
DEPENDENTS = {
    "view": (
        "CREATE VIEW v AS SELECT * FROM far; CREATE VIEW w AS SELECT a FROM v; COMMENT ON VIEW v IS 'x';",
        [("view", "public.v"), ("view", "public.w")],
    ),
    "materialized view": (
        "CREATE MATERIALIZED VIEW m AS SELECT * FROM far WITH NO DATA; CREATE INDEX i ON m (a);",
        [("materialized view", "public.m")],
    ),
    "function that takes its rows": (
        "CREATE FUNCTION g(far) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE VIEW w AS SELECT g(NULL) AS x;",
        [("function", 'public.g("public"."far")'), ("view", "public.w")],
    ),
    "function that returns many of its rows": (
        "CREATE FUNCTION g() RETURNS far[] LANGUAGE sql AS 'SELECT NULL::far[]';",
        [("function", "public.g()")],
    ),
    "function that reads it": (
        """
        CREATE FUNCTION g() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM far; END;
        ALTER TABLE kept ALTER a SET DEFAULT g();
        """,
        [("default", "a on public.kept"), ("function", "public.g()")],
    ),
    "rule": (
        "CREATE RULE r AS ON INSERT TO kept DO ALSO INSERT INTO far VALUES (new.a);",
        [("rule", "r on public.kept")],
    ),
    "sequence": ("CREATE SEQUENCE s OWNED BY far.a;", [("sequence owner", "public.s")]),
    "trigger": (
        "CREATE TRIGGER t BEFORE INSERT ON far FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();",
        [],
    ),
    "partition": (
        """
        CREATE TABLE p (a int) PARTITION BY LIST (a);
        CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
        CREATE FOREIGN TABLE p2 PARTITION OF p FOR VALUES IN (2) SERVER elsewhere;
        CREATE VIEW w AS SELECT * FROM p2;
        """,
        [("view", "public.w")],
    ),
    "child": ("CREATE FOREIGN TABLE below () INHERITS (kept) SERVER elsewhere;", []),
    "parent": (
        """
        ALTER FOREIGN TABLE far ADD CHECK (a > 0), ALTER b SET NOT NULL;
        CREATE TABLE above (a int, c int);
        CREATE TABLE below (own int) INHERITS (far, above);
        CREATE TABLE further () INHERITS (below);
        """,
        [("inheritance", 'public.below from "public"."far"')],
    ),
}
OURS = ("cast", "default", "function", "inheritance", "materialized view", "rule", "sequence owner", "table", "view")


SCHEMAS = {f"case_{number}": case for number, case in enumerate(DEPENDENTS)}


@dataclass(frozen=True)
class Twice:
    """All cases, each in a schema of its own, and what the first migration did; a second one has nothing to do."""

    pair: Pair
    done: Migrated


@pytest.fixture(scope="module")
def twice(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[Twice]:
    with closing(pair_of(postgres16, postgres18)) as pairs:
        pair, names = next(pairs), {schema: schema for schema in SCHEMAS}
        pair.load(ELSEWHERE)
        for schema, case in SCHEMAS.items():
            pair.load(f"CREATE SCHEMA {schema}; SET search_path = {schema}; {TABLE} {KEPT} {DEPENDENTS[case][0]}")
        done, again = migrate(pair, names), migrate(pair, names)
        assert done.failures == []
        assert (again.failures, again.plan.create, again.plan.drop) == ([], (), ())
        yield Twice(pair, done)


@pytest.mark.parametrize(("schema", "case"), SCHEMAS.items(), ids=DEPENDENTS)
def test_what_leans_on_it_is_named(twice: Twice, schema: str, case: str) -> None:
    told = [(n.kind, n.name) for n in twice.done.source.notices if n.kind in OURS]
    own = sorted((kind, name) for kind, name in told if f"{schema}." in name.replace('"', ""))
    assert own == [(kind, name.replace("public", schema)) for kind, name in DEPENDENTS[case][1]]
    found = f"SELECT to_regclass('{schema}.kept') IS NOT NULL, to_regprocedure('{schema}.f()') IS NOT NULL"
    assert twice.pair.query(found) == "t|t"


def test_nothing_else_is_named(twice: Twice) -> None:
    told = [notice for notice in twice.done.source.notices if notice.kind in OURS]
    assert len(told) == sum(len(named) for _, named in DEPENDENTS.values())


def test_a_child_of_a_foreign_table_is_a_table_of_its_own(upgrade: Pair) -> None:
    upgrade.load(FAR + KEPT + DEPENDENTS["parent"][0])
    assert migrate(upgrade).failures == []
    columns = "SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'further'::regclass"
    assert upgrade.query(columns + " AND attnum > 0") == "a b c own"
    upgrade.prepare("INSERT INTO further (b) VALUES ('x')")
    assert upgrade.query("SELECT count(*) FROM above") == "1"
    with pytest.raises(AssertionError, match="violates check constraint"):
        upgrade.prepare("INSERT INTO further (a, b) VALUES (-1, 'x')")


def test_a_target_that_has_the_foreign_table(upgrade: Pair) -> None:
    ddl = "".join(ddl for case, (ddl, _) in DEPENDENTS.items() if case in ("view", "function that takes its rows"))
    ddl = ddl.replace("CREATE VIEW w AS SELECT g", "CREATE VIEW x AS SELECT g")
    upgrade.load(FAR + ddl)
    upgrade.prepare(FAR)
    done = migrate(upgrade)
    assert done.failures == []
    assert not [notice for notice in done.source.notices if notice.kind in OURS]
    assert_same_dump(upgrade)
