"""The commands that run a job."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pg_migration.cli.execution import Ended, execute, terminal_beside_steps, user_instance
from pg_migration.cli.following import follower
from pg_migration.cli.printing import print_report
from pg_migration.orchestration import settings
from pg_migration.reporting import filing


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
        ended = execute(instance, job, config, follower(stream, lines=verbose), verbose)
    _print(ended, as_json)
    return ended.succeeded


def _print(ended: Ended, as_json: bool) -> None:
    folder = settings.reports_folder()
    report = filing.read(folder, ended.run_id) if folder is not None else None
    if report is not None and folder is not None:
        print_report(report.ended(ended.succeeded, ended.failures), folder, as_json)
    elif as_json:
        sys.stdout.write(json.dumps(asdict(ended), indent=2) + "\n")
    else:
        outcome = "succeeded" if ended.succeeded else "FAILED"
        sys.stdout.write("".join(f"{line}\n" for line in [*ended.failures, f"run {ended.run_id} {outcome}"]))
