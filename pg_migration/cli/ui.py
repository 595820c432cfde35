"""The command ``ui``: Dagster's UI and daemon on the records that commands write."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from pg_migration.cli.exit_status import Misused, misuse_told
from pg_migration.orchestration import dagster_home, environment
from pg_migration.orchestration.run_tags import own_label
from pg_migration.postgres.connection.endpoint import Side


def become_ui(host: str, port: int) -> None:
    """Become ``dagster dev`` with the definitions of pg_migration; does not return.

    Raises:
        Misused: where an address is missing or wrong, or there is no place for Dagster's records.
    """
    with misuse_told():
        pair = environment.pair()
        for side in Side:
            pair.endpoint(side)
    site, jobs = f"http://{host}:{port}", f"locations/{own_label()}/jobs"
    click.echo(
        f"Dagster's UI: {site}, in some seconds. Ctrl-C ends it.\n"
        f"Start a migration: {site}/{jobs}/migrate/playground\n"
        f"What goes on, and what came of it: {site}/assets/summary",
        err=True,
    )
    command = [sys.executable, "-m", "dagster", "dev", "-m", "pg_migration.definitions", "-h", host, "-p", str(port)]
    os.execve(sys.executable, command, {**os.environ, **_records()})


def _records() -> Mapping[str, str]:
    """The variables that lead to the records and reports of `pg_migration.cli.dagster_instance.records`."""
    if os.environ.get("DAGSTER_HOME") or Path(dagster_home.FILE).exists():
        return {}
    with misuse_told():
        home, reports = environment.default_home(), environment.reports_folder()
    try:
        dagster_home.prepare(home)
    except OSError as error:
        raise Misused(f"no records can be kept in {home}: {error}. Set DAGSTER_HOME to a folder of yours.") from None
    return {"DAGSTER_HOME": str(home), "PG_MIGRATION_REPORTS": str(reports or environment.NO_REPORTS)}
