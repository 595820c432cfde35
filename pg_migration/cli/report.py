"""The command ``report``: what a run left behind, in the terminal."""

import io
import json
import re
import sys
from pathlib import Path

import click
import dagster as dg
from rich.console import Console

from pg_migration.cli.dagster_instance import records
from pg_migration.cli.exit_status import FAILED, SUCCEEDED, Misused, misuse_told
from pg_migration.cli.pairs import chosen_pair
from pg_migration.cli.streams import put
from pg_migration.orchestration import environment
from pg_migration.orchestration.jobs.prune import PRUNE
from pg_migration.orchestration.pair import Pair
from pg_migration.orchestration.run_tags import FINISHED, PAIR_TAG, SNAPSHOT_OF
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.ledger.source_identity import place_in
from pg_migration.reporting import store, terminal
from pg_migration.reporting.model import Report

# Where nobody looks at a screen, lines are as long as they are.
WIDTH_OF_FILES = 200


def print_report(report: Report, folder: Path, as_json: bool) -> None:
    """Print a report, for programs or for people."""
    if as_json:
        put(_ascii(report.as_json().decode()) + "\n")
        return
    width = None if sys.stdout.isatty() else WIDTH_OF_FILES
    text = _Text()
    console = Console(file=text, highlight=False, markup=False, soft_wrap=False, width=width)
    page = folder / report.run_id / store.PAGE
    terminal.show(report, console, str(page) if page.is_file() else None)
    put(text.getvalue())


class _Text(io.StringIO):
    """What is going to be printed, so that rich can choose its lines and colours for where that will be."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return sys.stdout.encoding or "utf-8"

    def isatty(self) -> bool:
        return sys.stdout.isatty()


def _ascii(text: str) -> str:
    """JSON in letters that every terminal has; elsewhere than in its strings it has no others."""
    return re.sub(r"[^\x00-\x7f]+", lambda found: json.dumps(found[0])[1:-1], text)


LAST = "last"
RUNS_AT_ONCE = 20
UNKNOWN = "unknown"


def report(context: click.Context, run: str, as_json: bool) -> None:
    """Print the report of a run, and end with the status that the run ended with.

    Args:
        run: its identifier, or how that begins, or ``last``.
    """
    with records() as kept:
        with misuse_told():
            pair = chosen_pair(context)
            folder = environment.reports_folder(pair.name)
        if folder is None:
            raise Misused(f"reports are switched off: PG_MIGRATION_REPORTS is '{environment.NO_REPORTS}'")
        if run == LAST:
            wanted = _last(kept.instance, pair, folder) or store.newest(folder)
            if wanted is None:
                raise Misused(f"there is no report in {folder} yet")
        else:
            found = store.matching(folder, run)
            if len(found) > 1:
                raise Misused(f"the reports of {len(found)} runs begin with '{run}': {', '.join(found)}")
            wanted = found[0] if found else run
        known = store.read(folder, wanted)
        if known is None:
            raise Misused(_missing(kept.instance, wanted, str(folder), store.newest(folder)))
        recorded = kept.instance.get_run_by_id(wanted)
        if recorded is not None and recorded.is_finished:
            known = known.ended(recorded.is_success, [f"Dagster records the run as {recorded.status.value}"])
    _warn_of_another_pair(pair, known)
    print_report(known, folder, as_json)
    context.exit(SUCCEEDED if known.succeeded else FAILED)


def _last(instance: dg.DagsterInstance, pair: Pair, folder: Path) -> str | None:
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
            if _is_of_this_pair(run, pair, folder):
                return run.run_id
        cursor = runs[-1].run_id
    return newest


def _is_of_this_pair(run: dg.DagsterRun, pair: Pair, folder: Path) -> bool:
    """By what the run was tagged with; a run without that, such as one of a selection of assets, by its report."""
    if (places := run.tags.get(PAIR_TAG)) is not None:
        return places == pair.places and run.job_name.startswith(pair.named(""))
    found = store.read(folder, run.run_id)
    return found is not None and _is_ours(pair, found)


def _is_ours(pair: Pair, report: Report) -> bool:
    """Whether a report is of the two databases that the environment names."""
    named = [place_in(_where(pair, side)) for side in Side]
    return [place_in(end.where or UNKNOWN) for end in (report.source, report.target)] == named


def _where(pair: Pair, side: Side) -> str:
    end = pair.known_endpoint(side)
    return end.description if end is not None else UNKNOWN


def _warn_of_another_pair(pair: Pair, report: Report) -> None:
    """Say first, and beside JSON, that a report is not of the two databases that the environment names."""
    ours = [_where(pair, side) for side in Side]
    if UNKNOWN not in ours and not _is_ours(pair, report):
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
