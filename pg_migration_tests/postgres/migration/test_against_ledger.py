"""The target is proved by the digests of what was copied, when the source can't be asked any more."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from pg_migration.postgres.migration import Result, use_cases
from pg_migration.postgres.migration.definition import Migration
from pg_migration.postgres.migration.options import Options
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration_tests.conftest import PostgresServer

ROWS = """
    CREATE TABLE cut (id int PRIMARY KEY, v numeric, note text);
    INSERT INTO cut SELECT n, n / 7.0, 'row ' || n FROM generate_series(1, 4000) AS n;
    CREATE TABLE keyless (v text); INSERT INTO keyless VALUES ('x'), ('x'), (NULL);
    CREATE TABLE tree (id int, v int) PARTITION BY HASH (id);
    CREATE TABLE even PARTITION OF tree FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE odd PARTITION OF tree FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO tree SELECT n, n FROM generate_series(1, 50) AS n;
    CREATE TABLE nothing (); CREATE TABLE excluded (id int);
    ANALYZE;
"""
CUT = {"partition_threshold": 1000, "chunk_size": 500, "max_partitions": 4}
ANOTHER_SOURCE = "postgresql://nobody@127.0.0.1:1/gone"


@dataclass
class Shop:
    source: PostgresServer
    target: PostgresServer
    urls: tuple[str, str]

    def migrate(self, **options: Any) -> Result:
        return use_cases.migrate(Migration.between(*self.urls, options=Options.model_validate({**CUT, **options})))

    def prove(self, schemas: str = "public", **options: Any) -> Result:
        """Of a source that nobody listens at."""
        chosen = Options.model_validate({**CUT, **options, "against": "ledger"})
        return use_cases.validate(Migration.between(ANOTHER_SOURCE, self.urls[1], schemas, options=chosen))

    def in_source(self, statements: str) -> None:
        self.source.psql(self.urls[0], statements)

    def in_target(self, statements: str) -> None:
        self.target.psql(self.urls[1], statements)


@pytest.fixture
def shop(postgres16: PostgresServer, postgres18: PostgresServer, source_db: str, target_db: str) -> Shop:
    made = Shop(postgres16, postgres18, (source_db, target_db))
    made.in_source(ROWS)
    return made


def outcome(result: Result) -> Mapping[str, tuple[bool, bool]]:
    """Whether the rows of each table were as many, and the same."""
    return {name: (c["row_count"], c["content"]) for (_, name), c in result.outcomes.checks.items()}


TABLES = ("cut", "keyless", "tree", "even", "odd", "nothing")
EQUAL = dict.fromkeys(TABLES, (True, True))


@pytest.mark.parametrize("schemas", ["public", "*"])
def test_a_copy_is_proved_without_its_source(shop: Shop, schemas: str) -> None:
    assert shop.migrate(exclude_tables=["excluded"]).succeeded
    proved = shop.prove(schemas)
    assert proved.failures == ()
    assert outcome(proved) == EQUAL


def test_changes_of_the_target_are_told_by_table_and_range(shop: Shop) -> None:
    assert shop.migrate(exclude_tables=["excluded"]).succeeded
    shop.in_target(
        "UPDATE cut SET v = v * 1.0 WHERE id = 1700; DELETE FROM keyless WHERE v IS NULL; UPDATE odd SET v = 0 "
        "WHERE id = (SELECT min(id) FROM odd)"
    )
    found = shop.prove()
    wrong = {"cut": (True, False), "keyless": (False, False), "odd": (True, False), "tree": (True, False)}
    assert outcome(found) == {**EQUAL, **wrong}
    cut, keyless, *_ = found.failures
    assert cut.startswith("public.cut: the target changed since: its rows are not those that were copied at 20")
    assert cut.endswith(", in the ranges 1001..2000")
    assert keyless == "public.keyless: 3 rows were copied, the target has 2"


def test_a_source_that_changed_does_not_matter_and_is_told_from_the_target(shop: Shop) -> None:
    assert shop.migrate().succeeded
    shop.in_source("UPDATE cut SET note = 'new' WHERE id = 7")
    assert shop.prove().failures == ()
    compare = Migration.between(*shop.urls, options=Options.model_validate(CUT))
    (rows,) = use_cases.validate(compare).failures
    assert "the source changed since the copy of 20" in rows
    assert "the target did not" in rows
    shop.in_source("UPDATE cut SET note = 'row 7' WHERE id = 7")  # as it was, but by a newer transaction
    shop.in_target("UPDATE cut SET note = 'new' WHERE id = 8")
    (rows,) = use_cases.validate(compare).failures
    assert "the source did not change since the copy of 20" in rows
    shop.in_source("UPDATE cut SET note = 'newer' WHERE id = 8")
    (rows,) = use_cases.validate(compare).failures
    assert "the source changed" in rows


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("DROP TABLE cut", "public.cut: the table is not in the target any more since the copy of 20"),
        pytest.param(
            "DROP TABLE cut; CREATE TABLE cut (id int)",
            "public.cut: the table was made anew in the target since the",
            marks=pytest.mark.longer,
        ),
        ("ALTER TABLE cut DROP COLUMN note", "public.cut: the digests in the ledger are of another form"),
        pytest.param(
            "ALTER TABLE cut ALTER v TYPE text",
            "public.cut: the digests in the ledger are of another form",
            marks=pytest.mark.longer,
        ),
        ("ALTER TABLE cut DROP CONSTRAINT cut_pkey", "public.cut: the ranges in the ledger can't be compared"),
        pytest.param(
            "UPDATE _pg_migration.chunk SET digest_form = NULL",
            "public.cut: the ledger does not have digests of all",
            marks=pytest.mark.longer,
        ),
        ("DELETE FROM _pg_migration.chunk WHERE range_key = '1001..2000'", "does not have each of its rows once"),
    ],
)
def test_what_can_not_be_proved_is_no_success(shop: Shop, change: str, told: str) -> None:
    assert shop.migrate().succeeded
    shop.in_target(change)
    found = shop.prove()
    assert any(told in failure for failure in found.failures), found.failures
    assert outcome(found)["cut"] == (False, False)


def test_a_table_that_the_source_has_taken_back_is_not_missed(shop: Shop) -> None:
    assert shop.migrate().succeeded
    shop.in_source("DROP TABLE keyless")
    assert shop.migrate().succeeded
    assert "keyless" not in outcome(shop.prove())
    assert shop.prove().failures == ()


def test_where_rows_were_only_counted_nothing_is_proved(shop: Shop) -> None:
    assert shop.migrate(check_content=False).succeeded
    found = shop.prove(exclude_tables=["e*"])
    assert found.failures[0].startswith("public.cut: the ledger does not have digests of all of its rows")
    assert ("public", "excluded") not in found.outcomes.checks


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        ("SELECT", "nothing was migrated to it"),
        ("CREATE SCHEMA _pg_migration", "nothing was migrated to it"),
    ],
)
def test_a_target_without_a_ledger_is_refused(shop: Shop, statements: str, told: str) -> None:
    shop.in_target(statements)
    (failure,) = shop.prove().failures
    assert failure.endswith(told)


def test_a_resumed_copy_has_all_digests(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an interrupted run has copied and not yet written the digests of is hashed by the run that goes on."""
    with monkeypatch.context() as interrupted:
        interrupted.setattr(MigrationRun, "record_digests", lambda _: None)
        interrupted.setattr(use_cases, "create_foreign_keys", lambda run: run.fail("interrupted"))
        assert shop.migrate().failures == ("interrupted",)
    resumed = shop.migrate()
    assert resumed.succeeded
    assert resumed.outcomes.loaded["public", "cut"].continued is not None
    assert outcome(shop.prove())["cut"] == (True, True)
    assert shop.prove().failures == ()
