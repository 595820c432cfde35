"""Every run writes a report. One that can't be written is logged and does not fail the run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import dagster as dg

from pg_migration.orchestration import environment, load_events
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.pair import Pair
from pg_migration.orchestration.reports.collect import gather
from pg_migration.orchestration.settings import current
from pg_migration.orchestration.table_results import TableResult
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.reporting import store


def file_report(
    instance: dg.DagsterInstance,
    migration: MigrationRun,
    relations: Relations,
    results: Sequence[TableResult] | None = None,
    unfinished_step: str | None = None,
) -> Path | None:
    """Write the report of a run as far as it has come; once for each run.

    Args:
        results, unfinished_step: as `pg_migration.orchestration.reports.collect.gather`.

    Returns:
        The page. None when reports are switched off, or when it could not be written, which is a note of the run then.
    """
    migration.reported = True
    try:
        folder = environment.reports_folder(relations.pair.name)
        if folder is None:
            return None
        report = gather(instance, migration, relations, results, unfinished_step)
    except Exception as error:
        _note(migration, f"{type(error).__name__}: {error}")
        return None
    try:
        page = store.write(report, folder)
    except Exception as error:
        note = _note(migration, str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}")
        load_events.emit_report(replace(report, notes=(*report.notes, note)))
        return None
    load_events.emit_report(report)
    return page


def _note(migration: MigrationRun, reason: str) -> str:
    note = f"the report could not be written: {reason}"
    migration.outcomes.notes.append(note)
    return note


def report_address(pair: Pair, page: Path) -> str | None:
    """The address of a report's page, where the environment names that of the folder of reports."""
    base = current().reports_url.rstrip("/")
    return "/".join(filter(None, (base, pair.name, page.parent.name, page.name))) if base else None
