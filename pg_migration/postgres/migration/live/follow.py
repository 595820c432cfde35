"""The target begins to follow, when a run has copied and proved everything."""

import time
from dataclasses import replace
from datetime import datetime

from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.figures import counted, listed
from pg_migration.postgres.migration.live.adopt import make_tables
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.replication.lag import LOST, Lag, lag, slot_state
from pg_migration.postgres.replication.record import record
from pg_migration.postgres.replication.state import Phase, Replication
from pg_migration.postgres.replication.structure import Change, changed_tables
from pg_migration.postgres.replication.subscription import connection_string, subscribe, unsubscribe

# How long the target may take to begin to read the slot.
START_SECONDS = 60.0
POLL_SECONDS = 0.05


def start_replication(run: MigrationRun) -> Lag:
    """Have the target apply what was written in the source since the snapshot; call it when every check has passed.

    Raises:
        MigrationError: it does not follow. The run's end takes everything away, and leaves the copy.
    """
    found = run.call(lambda: _start(run))
    run.outcomes.notes.append(
        f"the target follows the source by replication {_replication(run).name}: {counted(found.tables, 'table')}. "
        f"The source keeps WAL for it until pg_migration cutover or abandon"
    )
    return found


def _replication(run: MigrationRun) -> Replication:
    if run.live.replication is None:
        raise MigrationError("nothing is to be followed: this run did not begin with a replication slot")
    return run.live.replication


def _start(run: MigrationRun) -> Lag:
    replication, source, target = _replication(run), run.sides.source_connection, run.sides.target_connection
    if replication.phase is Phase.FOLLOWING:
        return lag(source, target, replication)
    run.sides.check_held()
    # The target asks the source for the published tables, which waits for whoever waits for the locks of this run.
    run.sides.let_tables_go()
    slot = slot_state(source, replication.name)
    if slot.wal_status in (None, LOST):
        raise MigrationError(f"replication slot {replication.name} of the source is gone or lost: start again")
    _make_new_partitions(run, replication)
    following = replace(replication, phase=Phase.FOLLOWING, validated_at=_validated(run))
    record(target, following)
    try:
        url = connection_string(run.sides.source, source, run.migration.replication_url)
        subscribe(target, replication, url, source.server_version, slot.failover)
        found = _begun(run, replication)
    except BaseException:
        if not target.closed:
            unsubscribe(target, replication.name)
            record(target, replication)
        raise
    run.live.replication = following
    return found


def _validated(run: MigrationRun) -> datetime | None:
    """When all rows were compared, as every check has passed: just now, where this run compares all of them."""
    if not run.options.check_content or run.options.content_sample_percent < 100:
        return None
    ((now,),) = fetch(run.sides.target_connection, "SELECT pg_catalog.clock_timestamp()")
    assert isinstance(now, datetime)
    return now


def _make_new_partitions(run: MigrationRun, replication: Replication) -> None:
    """Make what the source's partitioned tables have got while they were copied: a subscription needs all of it.

    What was written to a partition since it is one comes by replication.
    """
    roots = {table.root for table in replication.tables if table.root != table.name}
    changes = changed_tables(run.sides.source_connection, replication, run.options.exclude_tables)
    new = [c for c in changes if c.change is Change.NEW and c.now is not None and c.now.table.root in roots]
    if new:
        run.read_anew()
        make_tables(run, {change.name for change in new})
        names = listed(".".join(change.name) for change in new)
        run.outcomes.notes.append(
            f"new in the source since the copy began, and made in the target: {names}. Take it into what is looked "
            f"after (pg_migration adopt), and have everything compared then"
        )


def _begun(run: MigrationRun, replication: Replication) -> Lag:
    """How the replication stands as soon as the target reads the slot, which shows that it has reached the source.

    One that is disabled by then has met a change that it could not apply, and has reached it, too: that can be mended.
    """
    deadline, stopped = time.monotonic() + START_SECONDS, run.connections.stopped()
    while True:
        found = lag(run.sides.source_connection, run.sides.target_connection, replication)
        state = found.subscription
        if found.slot_active or (state is not None and not state.enabled):
            return found
        if time.monotonic() > deadline or state is None or stopped.wait(POLL_SECONDS):
            raise MigrationError(
                f"the target does not follow: nobody reads slot {replication.name} of the source. Either subscription "
                f"{replication.name} leads to another server (PG_MIGRATION_REPLICATION_URL), or the target's log says "
                f"why"
            )


def give_up(run: MigrationRun, reason: str) -> None:
    """Have the run's end take everything away that it has made in the source, because of ``reason``."""
    run.fail(reason)
