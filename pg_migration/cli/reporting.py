"""The command ``report``: what a run left behind, in the terminal."""

import click
import dagster as dg

from pg_migration.cli.ending import FAILED, SUCCEEDED, Misused, misuse_told
from pg_migration.cli.execution import user_instance
from pg_migration.cli.printing import print_report
from pg_migration.orchestration import settings
from pg_migration.orchestration.jobs import FINISHED
from pg_migration.orchestration.pruning import PRUNE
from pg_migration.orchestration.spreading import SNAPSHOT_OF
from pg_migration.reporting import filing

LAST = "last"
RUNS_AT_ONCE = 20


def report(context: click.Context, run: str, as_json: bool) -> None:
    """Print the report of a run, and end with the status that the run ended with.

    Args:
        run: its identifier, or how that begins, or ``last``.
    """
    with user_instance() as instance:
        with misuse_told():
            folder = settings.reports_folder()
        if folder is None:
            raise Misused(f"reports are switched off: {settings.REPORTS} is '{settings.NO_REPORTS}'")
        if run == LAST:
            wanted = _last(instance) or filing.newest(folder)
            if wanted is None:
                raise Misused(f"there is no report in {folder} yet")
        else:
            found = filing.matching(folder, run)
            if len(found) > 1:
                raise Misused(f"the reports of {len(found)} runs begin with '{run}': {', '.join(found)}")
            wanted = found[0] if found else run
        known = filing.read(folder, wanted)
        if known is None:
            raise Misused(_missing(instance, wanted, str(folder), filing.newest(folder)))
        recorded = instance.get_run_by_id(wanted)
        if recorded is not None and recorded.is_finished:
            known = known.ended(recorded.is_success, [f"Dagster records the run as {recorded.status.value}"])
    print_report(known, folder, as_json)
    context.exit(SUCCEEDED if known.succeeded else FAILED)


def _last(instance: dg.DagsterInstance) -> str | None:
    """The last run that ended, whether it left a report or not: that an older one did well says nothing of it.

    Of those that leave one: what a run copies for another one is in that one's, and deleting old runs leaves none.
    """
    cursor = None
    while runs := instance.get_runs(dg.RunsFilter(statuses=FINISHED), limit=RUNS_AT_ONCE, cursor=cursor):
        for run in runs:
            if run.job_name != PRUNE and SNAPSHOT_OF not in run.tags:
                return run.run_id
        cursor = runs[-1].run_id
    return None


def _missing(instance: dg.DagsterInstance, run_id: str, folder: str, newest: str | None) -> str:
    run = instance.get_run_by_id(run_id)
    if run is not None and (owner := run.tags.get(SNAPSHOT_OF)):
        return f"run {run_id} copied ranges for run {owner}, whose report tells of them."
    what = f"run {run_id} ({run.job_name}, {run.status.value})" if run else f"run {run_id}"
    told = f"{what} has no report in {folder} that can be read."
    if run is not None:
        told += " Its process was killed, or ran where another folder is meant by that name."
    if newest is not None:
        told += f" The newest report there is of run {newest}."
    return told
