"""What starts runs of itself starts none that a replication stands in the way of, and says so."""

from contextlib import contextmanager
from typing import Any

import dagster as dg
import pytest

from pg_migration.orchestration.automation import source_rows
from pg_migration.orchestration.automation.following import why_not_start
from pg_migration.orchestration.pair import Pair
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.ledger import schema
from pg_migration.postgres.ledger.source_identity import Identity
from pg_migration.postgres.replication.record import record
from pg_migration.postgres.replication.state import Phase, Replication
from pg_migration_tests.orchestration.automation.test_missed_retries import HERE, MISSED, failed_run, requests
from pg_migration_tests.orchestration.harness import Platform
from pg_migration_tests.postgres.ddl.round_trip import session

REFUSED = {
    Phase.FOLLOWING: {"migrate"},
    Phase.FENCED: {"migrate"},
    Phase.MOVED: {"migrate", "validate"},
    Phase.RETURNING: {"migrate", "validate"},
    Phase.BACK: {"migrate", "validate"},
    Phase.ENDED: {"migrate", "validate"},
}


def remember(url: str, phase: Phase) -> None:
    with session(url) as connection:
        schema.create(connection)
        here = Identity.of(connection, Endpoint.parse(Side.TARGET, url, "URL"))
        record(connection, Replication("pg_migration_1", phase, "run", here, here, (), (), 1))


@pytest.mark.parametrize("phase", Phase)
def test_what_is_not_started(target_db: str, monkeypatch: pytest.MonkeyPatch, phase: Phase) -> None:
    monkeypatch.setenv("TARGET", target_db)
    pair = Pair(name="shop", source="NOWHERE", target="TARGET")
    jobs = ("migrate", "validate")
    assert [why_not_start(pair, pair.named(job)) for job in jobs] == [None, None]
    remember(target_db, phase)
    refused = {job for job in jobs if why_not_start(pair, pair.named(job)) is not None}
    assert refused == REFUSED.get(phase, set())
    monkeypatch.setenv("TARGET", "postgresql://u@127.0.0.1:1/nobody")
    assert [why_not_start(pair, pair.named(job)) for job in jobs] == [None, None], "the run tells that"


def test_schedules_and_sensors_say_why(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    remember(shop.target.url, Phase.MOVED)
    repository = shop.definitions.get_repository_def()
    for name, said in (
        ("nightly_migrate", "the target has taken over"),
        ("hourly_validate", "they differ from then on"),
    ):
        with dg.build_schedule_context(instance=shop.instance, repository_def=repository) as context:
            ticked = repository.get_schedule_def(name).evaluate_tick(context)
        assert not ticked.run_requests
        assert said in (ticked.skip_message or "")
    monkeypatch.setattr(source_rows, "_failures", lambda *_: None)
    rows: Any = repository.get_sensor_def("source_rows_changed")
    cursor = None
    for _ in range(2):
        with context_of(shop, repository, "source_rows_changed", cursor) as context:
            ticked = rows.evaluate_tick(context)
        cursor = ticked.cursor
    assert not ticked.run_requests
    assert "the target has taken over" in ticked.skip_message
    failed_run(shop, "migrate", HERE, MISSED, {})
    assert requests(shop) == []


@contextmanager
def context_of(shop: Platform, repository: dg.RepositoryDefinition, name: str, cursor: str | None) -> Any:
    with dg.build_sensor_context(shop.instance, cursor, repository_def=repository, sensor_name=name) as context:
        yield context
