"""The command ``ui``: Dagster's UI and daemon on the records that commands write."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from pg_migration.cli.databases import GIVEN
from pg_migration.cli.exit_status import Misused, misuse_told
from pg_migration.cli.pairs import found_project, project_pairs
from pg_migration.orchestration import dagster_home, environment
from pg_migration.orchestration.run_tags import own_label
from pg_migration.postgres.connection.endpoint import Side

OWN_MODULE = "pg_migration.definitions"


def become_ui(context: click.Context, host: str, port: int) -> None:
    """Become ``dagster dev``, with the databases that the environment names or with a project; does not return.

    Raises:
        Misused: where an address is missing or wrong, or there is no place for Dagster's records.
    """
    site = f"http://{host}:{port}"
    project = None if context.meta.get(GIVEN) else found_project()
    pairs = project_pairs(context) if project is not None and project.module != OWN_MODULE else {}
    if project is None or not pairs:
        with misuse_told():
            pair = environment.pair()
            for side in Side:
                pair.endpoint(side)
        what = ["-m", OWN_MODULE]
        told = (
            f"Start a migration: {site}/locations/{own_label()}/jobs/migrate/playground\n"
            f"What goes on, and what came of it: {site}/assets/summary"
        )
    else:
        what = ["-m", project.module, "-d", str(project.folder)]
        told = f"The project in {project.folder}, with {', '.join(pairs)}: {site}/locations/{own_label()}/jobs"
    click.echo(f"Dagster's UI: {site}, in some seconds. Ctrl-C ends it.\n{told}", err=True)
    command = [sys.executable, "-m", "dagster", "dev", *what, "-h", host, "-p", str(port)]
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
