"""A code location that was loaded before the source had its tables: its runs copy them, or fail and say "reload"."""

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from pg_migration_tests.orchestration.harness import Platform

CHECKED = dg.DagsterEventType.ASSET_CHECK_EVALUATION
WITH_KEY = "CREATE TABLE keyed (id integer PRIMARY KEY); INSERT INTO keyed SELECT generate_series(1, 1000)"
WITHOUT_KEY = "CREATE TABLE keyless (n integer); INSERT INTO keyless SELECT generate_series(1, 1000)"


def launch(platform: Platform, stale: dg.Definitions, job: str) -> tuple[bool, str]:
    """A run that one process has planned and another one, which loads the source anew, executes; how it ended."""
    planned = stale.resolve_job_def(job)
    run = platform.instance.create_run_for_job(planned, run_config={})
    fresh = platform.reload().resolve_job_def(job)
    events = execute_run(InMemoryJob(fresh), run, platform.instance).all_events
    failed = [e.step_failure_data.user_failure_data for e in events if e.is_step_failure]
    told = [failure.description for failure in failed if failure is not None]
    checks = [e.asset_check_evaluation_data for e in events if e.event_type is CHECKED]
    told += [check.description for check in checks if not check.passed]
    ended = platform.instance.get_run_by_id(run.run_id)
    return ended is not None and ended.is_success, "\n".join(filter(None, told))


@pytest.mark.parametrize("tables", [WITH_KEY, WITHOUT_KEY], ids=["key", "none"])
@pytest.mark.parametrize("job", ["migrate", "validate"])
def test_no_table_was_known(platform: Platform, job: str, tables: str) -> None:
    stale = platform.reload()
    platform.source.psql(tables)
    before = platform.target.dump()
    succeeded, told = launch(platform, stale, job)
    assert not succeeded
    assert "Reload the code location" in told
    if job == "migrate":
        assert "missing in the target" not in told
        assert platform.target.dump() == before


def test_the_source_was_out_of_reach(idle_shop: Platform) -> None:
    idle_shop.set(SOURCE_URL="postgresql://nobody@127.0.0.1:1/nothing")
    stale = idle_shop.reload()
    idle_shop.set(SOURCE_URL=idle_shop.source.url)
    succeeded, told = launch(idle_shop, stale, "migrate")
    assert not succeeded
    assert "Reload the code location" in told


def test_a_table_that_came_later_is_copied_and_checked(platform: Platform) -> None:
    platform.source.psql(WITH_KEY)
    stale = platform.reload()
    platform.source.psql(WITHOUT_KEY)
    assert launch(platform, stale, "migrate") == (True, "")
    assert platform.target.psql("SELECT count(*) FROM keyless") == "1000"


def test_a_table_that_has_no_check(shop: Platform) -> None:
    known = shop.definitions
    shop.source.psql(WITH_KEY)
    done = shop.run(known.resolve_job_def("validate"), {})
    assert not done.success
    check = done.every_check["source_schema", "known_tables"]
    assert (check.passed, check.description) == (
        False,
        "no asset stands for public.keyed: reload the code location (in the UI: Deployment, Reload)",
    )


def test_the_first_foreign_key_came_later(platform: Platform) -> None:
    platform.source.psql(WITH_KEY)
    stale = platform.reload()
    platform.source.psql("CREATE TABLE child (id integer PRIMARY KEY, up integer REFERENCES keyed)")
    succeeded, told = launch(platform, stale, "migrate")
    assert not succeeded
    assert "no step foreign_keys" in told
    assert "public.child" in told


def test_the_first_foreign_key_of_a_schema_came_later(shop: Platform) -> None:
    shop.set(SOURCE_SCHEMA="public,other")
    shop.source.psql("CREATE SCHEMA other; CREATE TABLE other.child (id integer PRIMARY KEY, up integer)")
    stale = shop.reload()
    shop.source.psql("ALTER TABLE other.child ADD CONSTRAINT later FOREIGN KEY (up) REFERENCES customers")
    assert launch(shop, stale, "migrate") == (True, "")
    assert shop.target.psql("SELECT count(*) FROM pg_constraint WHERE conname = 'later'") == "1"
