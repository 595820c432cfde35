"""Run a job for one pair or for all, after what their targets need was made."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pg_migration.cli.dagster_instance import records
from pg_migration.cli.exit_status import FAILED, MISUSED, SUCCEEDED, Misused
from pg_migration.cli.prepare import Prepared, prepare
from pg_migration.cli.results import Outcome, status_of_all
from pg_migration.cli.results import as_json as results_as_json
from pg_migration.cli.results import table as results_table
from pg_migration.cli.run import run_job
from pg_migration.cli.side_by_side import run_all
from pg_migration.cli.streams import put, tell
from pg_migration.orchestration.location.names import MIGRATE
from pg_migration.orchestration.pair import Pair

# Looks at a pair and a run configuration, and may refuse.
Before = Callable[[Pair, dict[str, Any]], object]


def run_for_one(pair: Pair, job: str, config: Mapping[str, Any], as_json: bool, verbose: bool) -> int:
    """Run a job for one pair, whose target is prepared first where the pair wants that; the exit status.

    Raises:
        as `run_job`.
    """
    prepared = prepare(pair) if job == MIGRATE else Prepared()
    if prepared.impossible is not None:
        raise Misused(prepared.impossible)
    status = run_job(pair, job, config, as_json, verbose)
    return FAILED if status == SUCCEEDED and prepared.refused else status


def run_for_all(
    pairs: Mapping[str, Pair],
    job: str,
    config: Mapping[str, Any],
    as_json: bool,
    verbose: bool,
    at_once: int | None = None,
    before: Before | None = None,
) -> int:
    """Run a job for all pairs, print one table of what came of it, or JSON; the exit status.

    All targets are prepared before the first run begins: roles belong to servers, and pairs share these.

    Args:
        before: is called with each pair and the run configuration before any run; a pair that it refuses has none.
    """
    prepared = {name: _prepared(pair, job, config, before) for name, pair in pairs.items()}
    possible = [pair for name, pair in pairs.items() if prepared[name].impossible is None]
    with records() as kept:  # which are made here, where they are not there yet, and not by several processes at once
        if kept.advice is not None:
            tell(kept.advice.rstrip("\n"))
    done = {found.pair: found for found in run_all(job, possible, config, verbose, at_once)} if possible else {}
    outcomes = [done.get(name) or Outcome(name, MISUSED, None, prepared[name].impossible, None) for name in pairs]
    outcomes = [
        replace(found, status=FAILED, message=refused[0])
        if (refused := prepared[found.pair].refused) and found.status == SUCCEEDED
        else found
        for found in outcomes
    ]
    put(results_as_json(outcomes) if as_json else results_table(job, outcomes))
    return status_of_all(outcomes)


def _prepared(pair: Pair, job: str, config: Mapping[str, Any], before: Before | None) -> Prepared:
    try:
        if before is not None:
            before(pair, dict(config))
    except Misused as refusal:
        return Prepared(impossible=refusal.message)
    return prepare(pair) if job == MIGRATE else Prepared()
