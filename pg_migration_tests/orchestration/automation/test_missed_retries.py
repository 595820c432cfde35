"""Runs that died while the code location was away."""

from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from pg_migration.orchestration.automation import missed_retries
from pg_migration_tests.orchestration.harness import Platform

HERE, ELSEWHERE = "pg_migration", "another"
MISSED = "Failed to retry run"


def origin(job: str, location: str) -> RemoteJobOrigin:
    server = GrpcServerCodeLocationOrigin(host="code-location", port=4000, location_name=location)
    return RemoteJobOrigin(RemoteRepositoryOrigin(server, "__repository__"), job)


def failed_run(
    platform: Platform,
    job: str,
    location: str,
    message: str | None,
    tags: dict[str, str],
    after: str | None = None,
) -> dg.DagsterRun:
    """What is left of a run whose process died, and of the daemon's trying to start it again (None: it has not)."""
    run = platform.instance.create_run_for_job(
        platform.definitions.resolve_job_def(job),
        run_config={"resources": {"migration": {"config": {"workers": 1}}}},
        tags={"who": "me", "dagster/max_retries": "2", **tags},
        remote_job_origin=origin(job, location),
        root_run_id=after,
        parent_run_id=after,
    )
    platform.instance.report_run_failed(run, "the process of the run was killed")
    found = platform.instance.get_run_by_id(run.run_id)
    assert found is not None
    if message is not None:
        platform.instance.report_engine_event(message, found)
    platform.instance.add_run_tags(run.run_id, {"dagster/will_retry": "true" if message is None else "false"})
    return found


def requests(platform: Platform) -> list[dg.RunRequest]:
    repository = platform.definitions.get_repository_def()
    server = GrpcServerCodeLocationOrigin(host="code-location", port=4000, location_name=HERE)
    with dg.build_sensor_context(platform.instance, repository_def=repository, sensor_name="missed_retries") as context:
        context._code_location_origin = server
        ticked: Any = repository.get_sensor_def("missed_retries").evaluate_tick(context)
    return list(ticked.run_requests or ())


def test_it_is_on(idle_shop: Platform) -> None:
    sensor = idle_shop.definitions.get_repository_def().get_sensor_def("missed_retries")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING


@pytest.mark.parametrize("job", ["migrate", "validate"])
def test_the_run_is_requested_again_once(idle_shop: Platform, job: str) -> None:
    run = failed_run(idle_shop, job, HERE, MISSED, {})
    (request,) = requests(idle_shop)
    assert (request.job_name, request.run_config) == (job, run.run_config)
    lineage = {"dagster/parent_run_id": run.run_id, "dagster/root_run_id": run.run_id, "dagster/retry_number": "1"}
    assert request.tags.items() >= {"who": "me", "dagster/max_retries": "1", **lineage}.items()
    assert "dagster/will_retry" not in request.tags
    # By its key Dagster knows the second request.
    assert [again.run_key for again in requests(idle_shop)] == [request.run_key]


def test_what_the_daemon_has_overlooked_is_requested_when_it_had_its_time(
    idle_shop: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlooked = failed_run(idle_shop, "migrate", HERE, None, {})
    failed_run(idle_shop, "migrate", HERE, None, {"dagster/auto_retry_run_id": "there is one"})
    assert requests(idle_shop) == []
    monkeypatch.setattr(missed_retries, "OVERLOOKED", timedelta(0))
    (request,) = requests(idle_shop)
    assert request.run_key == f"retry of {overlooked.run_id}"


def test_the_retry_of_a_retry_is_numbered_on(idle_shop: Platform) -> None:
    first = failed_run(idle_shop, "migrate", HERE, "Retrying the run", {"dagster/auto_retry_run_id": "the second"})
    second = failed_run(idle_shop, "migrate", HERE, MISSED, {"dagster/retry_number": "1"}, after=first.run_id)
    (request,) = requests(idle_shop)
    lineage = {"dagster/parent_run_id": second.run_id, "dagster/root_run_id": first.run_id, "dagster/retry_number": "2"}
    assert request.tags.items() >= lineage.items()


@pytest.mark.parametrize(
    ("job", "location", "message", "tags"),
    [
        ("migrate", HERE, "Not retrying run since it failed due to an asset or op failure", {}),
        ("migrate", HERE, MISSED, {"dagster/auto_retry_run_id": "there is one"}),
        ("migrate", ELSEWHERE, MISSED, {}),
        ("preflight", HERE, MISSED, {}),
    ],
    ids=["a failure that stays", "already started again", "of another code location", "a job that is not retried"],
)
def test_other_runs_are_not(idle_shop: Platform, job: str, location: str, message: str, tags: dict[str, str]) -> None:
    failed_run(idle_shop, job, location, message, tags)
    assert requests(idle_shop) == []
