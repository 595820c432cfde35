"""The question whether rows that nobody has loaded may be deleted, where there is somebody to ask."""

import sys
from collections.abc import Mapping
from typing import Any

import click
from pydantic import ValidationError

from pg_migration.cli.exit_status import FAILED
from pg_migration.cli.options import merged
from pg_migration.orchestration.pair import Pair
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.ledger.own_rows import UnknownRows
from pg_migration.postgres.migration.options import Options
from pg_migration.postgres.migration.run import MigrationRun

OVERWRITE = {"overwrite_existing_rows": True}


class Declined(click.ClickException):
    """Somebody was asked, and did not want it."""

    exit_code = FAILED


def with_consent(pair: Pair, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration of a run of `migrate`, after a person was asked what it may delete.

    Without a terminal nobody is asked, and the run refuses what it was not told that it may do.

    Raises:
        Declined: the rows are to stay; no run was made.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or not (found := _at_stake(pair, config)):
        return config
    click.echo("The target has rows that were not loaded from this source by earlier runs:", err=True)
    for strange in found:
        click.echo(f"  {strange}: {strange.reason}", err=True)
    if not click.confirm("Delete them, and copy the source's rows instead?", default=False, err=True):
        raise Declined("nothing was changed")
    return merged(config, {"resources": {pair.resource: {"config": OVERWRITE}}})


def _at_stake(pair: Pair, config: Mapping[str, Any]) -> list[UnknownRows]:
    """What a run would refuse to delete. Whatever else is wrong, the run will say."""
    chosen = ((config.get("resources") or {}).get(pair.resource) or {}).get("config") or {}
    try:
        options = Options.model_validate({**pair.defaults, **chosen})
    except (ValidationError, TypeError):
        return []
    if options.overwrite_existing_rows:
        return []
    run = MigrationRun("no run", options, lambda: pair.migration(options), makes_everything=True)
    try:
        return run.call(run.unknown_rows)
    except MigrationError:
        return []
    finally:
        run.close()
