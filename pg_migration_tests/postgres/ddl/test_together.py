"""Cases that are migrated together are judged one by one."""

from collections.abc import Mapping

from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.ddl.round_trip import Pair, describe
from pg_migration_tests.postgres.ddl.together import Before, InTarget, verdicts

CASES = {
    "first": ["CREATE TABLE public.t (a int)"],
    "no SQL": ["CREATE TABLE u ("],
    "last": ["CREATE VIEW v AS SELECT 1 AS a"],
}


def assert_something_is_there(pair: Pair, schemas: Mapping[str, str]) -> None:
    assert len({item.schema for item in describe(pair.source_url, schemas).objects if item.kind != "schema"}) == len(
        schemas
    )


def test_one_case_that_fails_is_the_only_one(postgres18: PostgresServer) -> None:
    found = verdicts(postgres18, postgres18, CASES, assert_something_is_there)
    assert {case: bool(error) for case, error in found.items()} == {"first": False, "no SQL": True, "last": False}
    assert "syntax error" in found["no SQL"]


def test_cases_that_fail_only_together_all_fail(postgres18: PostgresServer) -> None:
    def check(pair: Pair, schemas: Mapping[str, str]) -> None:
        assert len(schemas) == 1, "crowded"
        assert_something_is_there(pair, schemas)

    found = verdicts(postgres18, postgres18, {case: CASES[case] for case in ("first", "last")}, check)
    assert all("together" in error and "crowded" in error for error in found.values())
    assert [*found] == ["first", "last"]


def test_each_step_is_run_on_its_side_and_judged_unless_it_only_goes_before(postgres18: PostgresServer) -> None:
    judged: list[tuple[str, str]] = []
    names = "SELECT oid::regclass::text AS name FROM pg_class WHERE relname ~ '^[tuw]$'"
    tables = f"SELECT string_agg(name, ' ' ORDER BY name) FROM ({names}) AS named"

    def check(pair: Pair, _: Mapping[str, str]) -> None:
        judged.append((pair.source.psql(pair.source_url, tables).strip(), pair.query(tables)))

    cases = {
        "in the source": [Before("CREATE TABLE t ()"), "CREATE TABLE u ()"],
        "in the target": [Before("CREATE TABLE t ()"), InTarget("CREATE TABLE w ()")],
    }
    assert set(verdicts(postgres18, postgres18, cases, check).values()) == {""}
    assert judged == [("case_0.t case_0.u case_1.t", "case_0.t case_1.t case_1.w")]
