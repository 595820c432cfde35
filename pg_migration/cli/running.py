"""The commands that run a job."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pg_migration.cli.execution import Ended, execute, terminal_beside_steps, user_instance
from pg_migration.cli.following import follower
from pg_migration.cli.printing import print_report
from pg_migration.cli.streams import put
from pg_migration.orchestration import settings
from pg_migration.reporting import filing
from pg_migration.reporting.model import Report


def run_job(job: str, config: Mapping[str, Any], as_json: bool, verbose: bool) -> bool:
    """Run a job, show how it goes on the error output, and print what came of it on the standard output.

    Args:
        config: the run configuration.
        as_json: whether to print the report as JSON.
        verbose: whether Dagster prints its events.

    Returns:
        Whether the run succeeded.

    Raises:
        Misused: when the environment or the configuration is wrong.
    """
    with user_instance() as instance, terminal_beside_steps() as stream:
        if not os.environ.get("DAGSTER_HOME") and not Path("dagster.yaml").exists():
            stream.write("DAGSTER_HOME is not set: Dagster's UI will not show this run.\n")
            stream.flush()
        shown = follower(stream, lines=verbose)
        ended = execute(instance, job, config, shown, verbose)
    _print(ended, shown.report, as_json)
    return ended.succeeded


def _print(ended: Ended, made: Report | None, as_json: bool) -> None:
    """Print how a run ended: its report as it was made, since a full disk may have no room for it."""
    folder = settings.reports_folder()
    report = made or (filing.read(folder, ended.run_id) if folder is not None else None)
    if report is not None and folder is not None:
        print_report(report.ended(ended.succeeded, ended.failures), folder, as_json)
    elif as_json:
        put(json.dumps(asdict(ended), indent=2) + "\n")
    else:
        outcome = "succeeded" if ended.succeeded else "FAILED"
        put("".join(f"{line}\n" for line in [*ended.failures, f"run {ended.run_id} {outcome}"]))
