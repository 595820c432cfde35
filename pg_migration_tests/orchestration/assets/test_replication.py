"""A live move by the jobs of Dagster: follow, look, compare, cut over, go back; and what each of them records."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.orchestration.conftest import serve
from pg_migration_tests.orchestration.harness import Database, Platform, Run
from pg_migration_tests.postgres.replication.harness import two

DDL = """
    CREATE TABLE orders (id serial PRIMARY KEY, placed date);
    CREATE TABLE log (line text);
    INSERT INTO orders (placed) SELECT '2026-01-01' FROM generate_series(1, 500);
    INSERT INTO log VALUES ('a');
"""
REPLICATION = dg.AssetKey("replication")


@pytest.fixture
def live(
    postgres16: PostgresServer, postgres18: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Platform]:
    with two(postgres16, postgres18, DDL) as ends:
        source, target = (Database(*end) for end in zip((postgres16, postgres18), ends.urls, strict=True))
        with contextmanager(serve)(source, target, monkeypatch, tmp_path) as platform:
            yield platform


def run(platform: Platform, job: str, step: str = "", **config: Any) -> Run:
    ops = {step: {"config": config}} if step else {}
    return platform.run(platform.definitions.resolve_job_def(job), {}, ops)


def verdicts(done: Run) -> dict[str, bool]:
    return {check: found.passed for (asset, check), found in done.every_check.items() if asset == "replication"}


def test_a_run_that_does_not_follow_has_no_step_and_no_check_more(live: Platform) -> None:
    job = live.definitions.resolve_job_def("migrate")
    done = live.migrate()
    assert done.success
    assert '"live"' in done.stored
    assert not re.findall(r'.*"replication(?:_.*)?".*', done.stored)
    assert not {name for name in job.graph.node_dict if "replication" in name}
    refused = live.materialize("public/orders", follow=True)
    assert "follow copies everything: start the job migrate" in refused.failures["tables"]


@pytest.mark.longer
def test_a_move_and_the_way_back(live: Platform) -> None:
    """The rest is the library's, and proved there: what is asked here is what Dagster says and keeps."""
    refused = live.migrate(follow=True)
    assert "log" in refused.failures["source_schema"]
    assert live.source.psql("SELECT count(*) FROM pg_publication") == "0"
    done = live.migrate(follow=True, no_identity="full")
    assert done.success, done.failures
    figures = done.metadata("replication")
    assert figures["phase"] == "following"
    assert (figures["tables_ready"], figures["tables"], figures["apply_errors"]) == (2, 2, 0)
    assert figures["retained_wal_bytes"] >= 0
    assert verdicts(done) == {"replication_sound": True, "replication_lag": True}
    assert "pg_migration cutover" in live.migrate().failures["source_schema"]
    live.source.psql("INSERT INTO log VALUES ('b'); UPDATE orders SET placed = '2026-02-02' WHERE id < 10")
    assert live.validate().success
    rehearsed = run(live, "cutover", "take_over", dry_run=True)
    assert rehearsed.success, rehearsed.failures
    live.target.psql("UPDATE orders SET placed = '2020-01-01' WHERE id = 77")
    kept = run(live, "cutover", "take_over", check="content")
    assert not kept.success
    assert "orders" in kept.failures["take_over"]
    assert live.source.psql("INSERT INTO log VALUES ('c') RETURNING 1").startswith("1")
    live.target.psql("UPDATE orders SET placed = '2026-01-01' WHERE id = 77")
    moved = run(live, "cutover", "take_over", check="content", way_back=True)
    assert moved.success, moved.failures
    figures = moved.metadata("replication")
    assert figures["phase"] == "moved"
    assert 0 < figures["pause_seconds"] < 60
    assert live.target.psql("SELECT string_agg(line, '' ORDER BY line) FROM log") == "abc"
    assert "pg_migration release" in live.migrate().failures["source_schema"]
    live.target.psql("INSERT INTO log VALUES ('d')")
    back = run(live, "go_back", "take_back")
    assert back.success, back.failures
    assert live.source.psql("SELECT string_agg(line, '' ORDER BY line) FROM log") == "abcd"
    name = live.target.url.rpartition("/")[2]
    assert not run(live, "release", "allow_migrations", database="another").success
    assert run(live, "release", "allow_migrations", database=name).success


def test_the_checks_by_hand(live: Platform) -> None:
    """As the UI runs them: also where nothing follows, and when the structure was changed."""
    keys = [dg.AssetCheckKey(REPLICATION, name) for name in ("replication_sound", "replication_lag")]
    by_hand = dg.define_asset_job("by_hand", selection=dg.AssetSelection.checks(*keys))
    job = dg.Definitions.merge(live.definitions, dg.Definitions(jobs=[by_hand])).resolve_job_def("by_hand")

    def check() -> dict[str, bool]:
        return verdicts(live.run(job, {}))

    assert check() == {"replication_sound": True, "replication_lag": True}
    assert live.migrate(follow=True, no_identity="full", max_lag_seconds=7, max_retained_wal="1GB").success
    limits = "SELECT concat_ws(' ', max_lag_seconds, max_retained_wal) FROM _pg_migration.replication"
    assert live.target.psql(limits) == "7 1073741824"
    assert check() == {"replication_sound": True, "replication_lag": True}
    live.source.psql("CREATE TABLE late (id int PRIMARY KEY); INSERT INTO late VALUES (1)")
    assert check() == {"replication_sound": False, "replication_lag": True}
    assert "late" in run(live, "cutover", "take_over", dry_run=True).failures["take_over"]
    adopted = run(live, "adopt_new_tables")
    assert adopted.success, adopted.failures
    assert check() == {"replication_sound": True, "replication_lag": True}
    assert live.target.psql("SELECT id FROM late") == "1"
    given_up = run(live, "abandon_replication")
    assert given_up.success, given_up.failures
    assert given_up.metadata("replication")["phase"] == "abandoned"
    assert live.source.psql("SELECT count(*) FROM pg_publication") == "0"
