"""The command ``report``: what a run left behind, in the terminal."""

from pathlib import Path

import click
import dagster as dg

from pg_migration.cli.ending import FAILED, SUCCEEDED, Misused, misuse_told
from pg_migration.cli.execution import user_instance
from pg_migration.cli.printing import print_report
from pg_migration.orchestration import settings
from pg_migration.orchestration.jobs import FINISHED
from pg_migration.orchestration.pruning import PRUNE
from pg_migration.orchestration.spreading import SNAPSHOT_OF
from pg_migration.postgres.endpoint import Side
from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.identity import place_in
from pg_migration.reporting import filing
from pg_migration.reporting.model import Report

LAST = "last"
RUNS_AT_ONCE = 20
UNKNOWN = "unknown"


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
            wanted = _last(instance, folder) or filing.newest(folder)
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
    _tell_another_pair(known)
    print_report(known, folder, as_json)
    context.exit(SUCCEEDED if known.succeeded else FAILED)


def _last(instance: dg.DagsterInstance, folder: Path) -> str | None:
    """The last run of this pair that ended, whether it left a report or not: that an older one did well says nothing.

    Where there is none, that of any pair. Of those that leave a report: what a run copies for another one is in that
    one's, and deleting old runs leaves none.
    """
    newest, cursor = None, None
    while runs := instance.get_runs(dg.RunsFilter(statuses=FINISHED), limit=RUNS_AT_ONCE, cursor=cursor):
        for run in runs:
            if run.job_name == PRUNE or SNAPSHOT_OF in run.tags:
                continue
            newest = newest or run.run_id
            if _is_of_this_pair(run, folder):
                return run.run_id
        cursor = runs[-1].run_id
    return newest


def _is_of_this_pair(run: dg.DagsterRun, folder: Path) -> bool:
    """By what the run was tagged with; a run without that, such as one of a selection of assets, by its report."""
    if (pair := run.tags.get(settings.PAIR_TAG)) is not None:
        return pair == settings.pair()
    found = filing.read(folder, run.run_id)
    return found is not None and _is_ours(found)


def _is_ours(report: Report) -> bool:
    """Whether a report is of the two databases that the environment names."""
    named = [place_in(_where(side)) for side in Side]
    return [place_in(end.where or UNKNOWN) for end in (report.source, report.target)] == named


def _where(side: Side) -> str:
    try:
        return settings.endpoint(side).description
    except ConfigurationError:
        return UNKNOWN


def _tell_another_pair(report: Report) -> None:
    """Say first, and beside JSON, that a report is not of the two databases that the environment names."""
    ours = [_where(side) for side in Side]
    if UNKNOWN not in ours and not _is_ours(report):
        told = [end.where or UNKNOWN for end in (report.source, report.target)]
        click.echo(
            f"This report is of ANOTHER PAIR, from {told[0]} to {told[1]}: the environment names one from {ours[0]} to "
            f"{ours[1]}.",
            err=True,
        )


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
