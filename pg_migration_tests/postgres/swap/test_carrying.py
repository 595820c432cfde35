"""Tables that the source did not change come from the live copy: which, which not, and what proves them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.migration import Result, migrate, validate
from pg_migration.postgres.transfer.worker import Worker
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.swap.harness import SHOP, Shop

# Types that are swapped as well, in every form; what the server computes; a table without columns, and an empty one.
MORE = """
    SET search_path = "Sh.op";
    CREATE TYPE pair AS (a state, "b %s" float8);
    CREATE TABLE "ty""pes %s" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, s state[], p pair, q positive,
        f float8, at timestamptz, i interval, b bytea, "co lu""mn {}" varchar(9), text pg_catalog.text, m money,
        twice int GENERATED ALWAYS AS (id * 2) STORED, gone int);
    ALTER TABLE "ty""pes %s" DROP gone;
    INSERT INTO "ty""pes %s" (s, p, q, f, at, i, b, "co lu""mn {}", text, m)
      SELECT ARRAY['new', 'old']::state[], ROW('old', 0.1 + n)::pair, n, n / 3.0, '2024-02-29 12:00:00.123456+02',
             '1 year -2 days 00:00:00.5', '\\x00ff', 'a''b', E'c\\\\d\\n\\t%', 3.14 FROM generate_series(1, 500) AS n;
    CREATE TABLE nothing ();
    INSERT INTO nothing SELECT FROM generate_series(1, 7);
    CREATE TABLE empty (id int PRIMARY KEY);
    CREATE TABLE later (id int PRIMARY KEY, v int);
    INSERT INTO later SELECT n, n FROM generate_series(1, 2000) AS n;
    ANALYZE;
"""
EVERYTHING = {
    "Sh.op.customers",
    "Sh.op.or%ders",
    "Sh.op.visits_1",
    'Sh.op.ty"pes %s',
    "Sh.op.nothing",
    "Sh.op.empty",
    "Sh.op.later",
    "crm.notes",
}


@pytest.fixture(scope="module")
def shop(postgres16: PostgresServer, postgres18: PostgresServer) -> Shop:
    made = Shop(postgres16, postgres18, (postgres16.create_database(), postgres18.create_database()))
    made.in_source(SHOP + MORE)
    made.refreshed()
    return made


def run(shop: Shop, **options: Any) -> Result:
    """A run that has to succeed, after the source has counted all that was written."""
    shop.in_source("SELECT pg_stat_force_next_flush()")
    result = shop.run(**{"reuse_unchanged": True, "partition_threshold": 1000, "chunk_size": 500, **options})
    assert result.failures == ()
    assert shop.validated() == ()
    return result


def carried(result: Result) -> set[str]:
    loaded = result.outcomes.loaded
    return {".".join(name) for name, table in loaded.items() if table.continued and table.continued.carried}


def reasons(result: Result) -> Mapping[str, str]:
    return {".".join(name): reason for name, reason in result.outcomes.not_carried.items()}


def test_what_did_not_change_is_carried(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    run(shop)  # cuts tables in its own way
    dump, rows = (
        shop.target.dump_schema(shop.urls[1]),
        'SELECT md5(string_agg(t::text, chr(10))) FROM "Sh.op"."ty""pes %s" t',
    )
    before = shop.in_target(rows)
    shop.in_source('UPDATE "Sh.op".later SET v = 0 WHERE id = 77; DELETE FROM crm.notes WHERE customer = 9')
    asked = list[str]()
    with monkeypatch.context() as patched:
        copy = Worker.copy
        patched.setattr(
            Worker, "copy", lambda self, plan, *rest: (asked.append(plan.table.name), copy(self, plan, *rest))[1]
        )
        result = run(shop)
    assert carried(result) == EVERYTHING - {"Sh.op.later", "crm.notes"}
    assert set(reasons(result)) == {"Sh.op.later", "crm.notes"}
    assert set(asked) <= {"later", "notes", "visits"}
    assert shop.target.dump_schema(shop.urls[1]) == dump
    assert shop.in_target(rows) == before
    assert shop.in_target('SELECT v FROM "Sh.op".later WHERE id = 77') == "0"
    assert shop.validated(against="ledger") == ()
    # What was carried is carried again, and a table in ranges with it.
    assert carried(run(shop)) == EVERYTHING
    assert shop.back().failures == ()
    assert shop.validated(against="ledger") == ()
    assert shop.back().failures == ()


def test_what_others_changed_in_the_live_copy_is_read_anew(shop: Shop) -> None:
    run(shop)
    shop.in_target(
        'UPDATE "Sh.op".later SET v = 55 WHERE id = 5; DELETE FROM "Sh.op"."or%ders" WHERE id = 3; '
        'TRUNCATE "Sh.op".nothing; ALTER TABLE crm.notes DROP batch CASCADE'
    )
    result = run(shop, overwrite_existing_rows=True)
    assert carried(result) == EVERYTHING - {"Sh.op.later", "Sh.op.or%ders", "Sh.op.nothing", "crm.notes"}
    assert "read from the source although it did not change: Sh.op.later, Sh.op.nothing, Sh.op.or%ders" in "".join(
        result.notes
    )
    assert 'column "batch" does not exist' in reasons(result)["crm.notes"]
    assert shop.in_target('SELECT v FROM "Sh.op".later WHERE id = 5') == "5"


# What happens to the source, or to the run, and why a table is read again then.
AGAIN = {
    "written and written back": (
        'UPDATE "Sh.op".later SET v = 8 WHERE id = 8; UPDATE "Sh.op".later SET v = 8 WHERE id = 8',
        {},
        "statistics have counted writes",
    ),
    "rewritten": ('VACUUM FULL "Sh.op".later', {}, "truncated, rewritten or made anew"),
    "altered": ('ALTER TABLE "Sh.op".later ADD w int DEFAULT 5', {}, "the source's table was altered"),
    "cut otherwise": ("SELECT", {"chunk_size": 700}, "what tables are cut by was changed"),
}


@pytest.mark.longer
@pytest.mark.parametrize("name", AGAIN)
def test_what_may_have_changed_is_read_anew(shop: Shop, name: str) -> None:
    run(shop)
    done, options, reason = AGAIN[name]
    shop.in_source(done)
    result = run(shop, **options)
    assert reason in reasons(result)["Sh.op.later"]


@pytest.mark.longer
@pytest.mark.parametrize(
    "statement",
    [
        'UPDATE "Sh.op".later SET v = v + 1 WHERE id = 11',
        pytest.param('DELETE FROM "Sh.op".later WHERE id = 1999', marks=pytest.mark.longer),
        pytest.param(
            'DELETE FROM "Sh.op".later WHERE id = 12; INSERT INTO "Sh.op".later VALUES (12, 12)',
            marks=pytest.mark.longer,
        ),
    ],
)
def test_writes_that_are_not_counted_are_seen(shop: Shop, statement: str) -> None:
    """A session tells its counts late; its rows are newer all the same, or fewer."""
    run(shop)
    shop.in_source(f"SET track_counts = off; {statement}")
    result = run(shop)
    assert reasons(result)["Sh.op.later"] == "its rows were changed in the source"
    assert carried(result) == EVERYTHING - {"Sh.op.later"}


@pytest.mark.longer
def test_another_mask_key_or_moment_is_read_anew(shop: Shop) -> None:
    def masked(key: str, where: str, mask: object) -> Result:
        tables = {'"Sh.op".later': {"where": where, "mask": {"v": mask}}, "crm.notes": {"mask": {"batch": "permute"}}}
        options = {"transform": {"key": "env:MASK_KEY", "tables": tables}}
        migration = replace(shop.migration(reuse_unchanged=True, **options), variables={"MASK_KEY": key * 32})
        result = migrate(migration)
        assert result.failures == ()
        assert validate(migration).failures == ()
        return result

    shop.in_source("CREATE FUNCTION public.own(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1'")
    masked("a", "id > 5", "permute")
    assert {"Sh.op.later", "crm.notes"} <= carried(masked("a", "id > 5", "permute"))
    for key, where, mask in (("b", "id > 5", "permute"), ("b", "id > 6", "permute"), ("b", "id > 6", "null")):
        result = masked(key, where, mask)
        assert {"Sh.op.later", "crm.notes"}.isdisjoint(carried(result))
        assert reasons(result)["Sh.op.later"] == "what is chosen and masked of it was changed"
    timely = "id > 6 AND now() > '2020-01-01'"
    masked("b", timely, "permute")
    result = masked("b", timely, "permute")
    assert (set(reasons(result)), "crm.notes" in carried(result)) == ({"Sh.op.later"}, True)
    masked("b", "id > 6", "sql: public.own(v)")
    shop.in_source("CREATE OR REPLACE FUNCTION public.own(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 2'")
    result = masked("b", "id > 6", "sql: public.own(v)")
    assert reasons(result)["Sh.op.later"] == "more than its own rows decides what is read of it"
    result = run(shop)
    assert reasons(result)["Sh.op.later"] == "what is chosen and masked of it was changed"


@pytest.mark.longer
def test_what_was_not_hashed_is_read_anew(shop: Shop) -> None:
    run(shop, reuse_unchanged=False, check_content=False)
    assert set(reasons(run(shop)).values()) == {"the ledger has no digest of all its rows to prove it by"}


@pytest.mark.longer
def test_a_run_that_fails_leaves_nothing_to_carry(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    run(shop)
    with monkeypatch.context() as patched:
        patched.setattr("pg_migration.postgres.migration.use_cases.create_foreign_keys", lambda run: run.fail("no"))
        assert not shop.run(reuse_unchanged=True).succeeded
    assert carried(run(shop)) == EVERYTHING


@pytest.mark.parametrize(
    ("options", "said"),
    [({"refresh": "in_place"}, "needs refresh 'swap'"), ({"check_content": False}, "check_content")],
)
def test_options_that_it_needs(shop: Shop, options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        shop.run(reuse_unchanged=True, **options)
