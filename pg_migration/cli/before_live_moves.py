"""What a command of a live move makes sure of before there is a run."""

import sys
import time
from typing import Any

import click
from pydantic import ValidationError

from pg_migration.cli.dagster_instance import records
from pg_migration.cli.exit_status import Misused, misuse_told
from pg_migration.cli.lag import NOTHING
from pg_migration.cli.options import merged, of_pair
from pg_migration.orchestration.automation.following import watched_at, why_not_migrate
from pg_migration.orchestration.location.names import REPLICATION_WATCH
from pg_migration.orchestration.pair import Pair
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.figures import bytes_of
from pg_migration.postgres.migration.options import Options
from pg_migration.postgres.replication.prerequisites import wal_limit
from pg_migration.postgres.replication.record import last_replication

Config = dict[str, Any]

# Two intervals of the sensor.
SEEN_WITHIN_SECONDS = 60


def refuse_unwatched(pair: Pair, config: Config) -> Config:
    """Refuse to follow twice, and to leave a slot in a source that nobody looks after when this command has ended.

    Raises:
        Misused: that is so, or the options exclude each other.
    """
    with misuse_told():
        chosen = ((of_pair(pair, config).get("resources") or {}).get(pair.resource) or {}).get("config") or {}
        try:
            options = Options.model_validate({**pair.defaults, **chosen})
        except (ValidationError, TypeError):
            return config  # which the run tells in its own terms
        if not options.follow:
            return config
        migration = pair.migration(options)
        options.check()
        migration.check()
    if (reason := why_not_migrate(pair)) is not None:
        raise Misused(reason)
    try:
        with Connections("pg_migration look") as connections:
            limit = wal_limit(connections.open(migration.source), bytes_of(options.max_retained_wal))
    except MigrationError:
        return config
    with records() as kept:
        home = kept.instance.root_directory
        seen = watched_at(kept.instance, pair)
    if limit.why_unlimited and time.time() - seen > SEEN_WITHIN_SECONDS:
        limited = (
            ", or give the source a limit: ALTER SYSTEM SET max_slot_wal_keep_size = '100GB'; SELECT pg_reload_conf();"
        )
        raise Misused(
            f"nobody would look after the disk of the source when this command has ended: {limit.why_unlimited}, so "
            f"that a slot may keep WAL without limit while the target is away, and no daemon of Dagster with the "
            f"records in {home} has run the sensor {pair.named(REPLICATION_WATCH)} in the last minute. Start one, as "
            f"`pg_migration ui` does{limited if limit.can_be_set else ''}"
        )
    return config


def refuse_nothing(pair: Pair, config: Config) -> Config:
    """Refuse to end what was never begun.

    Raises:
        Misused: nothing was ever replicated into the target.
    """
    with misuse_told():
        migration = pair.migration(pair.options)
    try:
        with Connections("pg_migration look") as connections:
            last = last_replication(connections.open(migration.target))
    except MigrationError:
        return config  # the run says what is wrong
    if last is None:
        raise Misused(NOTHING.format(target=migration.target.description))
    return config


def ask_database(pair: Pair, config: Config) -> Config:
    """Have a person type the name of the target database, unless it was given.

    Raises:
        Misused: there is nobody to ask.
    """
    config = refuse_nothing(pair, config)
    step = ((config.get("ops") or {}).get("allow_migrations") or {}).get("config") or {}
    if "database" in step:
        return config
    with misuse_told():
        target = pair.endpoint(Side.TARGET)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Misused(f"give --database {target.database}, if its contents may be replaced by the next migration")
    click.echo(f"The next migration will replace what applications have written to {target.description}.", err=True)
    typed = click.prompt("Type the name of that database to allow it", err=True)
    return merged(config, {"ops": {"allow_migrations": {"config": {"database": typed}}}})
