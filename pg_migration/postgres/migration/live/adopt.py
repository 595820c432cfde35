"""Have the target follow tables that were made or changed in the source since it began to follow.

In this order: the table is made in the target, taken into the publication, and then copied by the subscription. A row
that comes before the last of these is passed over, and is in the copy (PostgreSQL docs: ALTER SUBSCRIPTION, REFRESH).
A table that the publication has lost is copied again from the start: what was written to it meanwhile is nowhere else.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pg_migration.postgres.catalog import Address, Phase, TableName
from pg_migration.postgres.catalog.ordering.graph import reachable
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.figures import listed
from pg_migration.postgres.migration.live.ends import Ends, both_ends, followed, not_following
from pg_migration.postgres.migration.live.takeover.recovery import undo_fence
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.migration.steps.structure import make, missing_objects
from pg_migration.postgres.replication.record import record
from pg_migration.postgres.replication.source_objects import publish
from pg_migration.postgres.replication.state import Phase as Stage
from pg_migration.postgres.replication.state import PublishedTable, Replication
from pg_migration.postgres.replication.structure import Change, TableChange, changed_tables, tables_of
from pg_migration.postgres.replication.subscription import (
    connection_string,
    let_tables_go,
    subscription_state,
    take_in_new_tables,
)

# How long the copies of new tables are waited for; they go on without that.
COPY_SECONDS = 600.0
POLL_SECONDS = 0.1


@dataclass
class _Found:
    """What can be adopted: new tables, those that have no WAL, those that are not in the publication, those that were
    changed as the target's were, and those that neither side has any more.

    ``refused`` is the rest, with what to do.
    """

    new: list[PublishedTable] = field(default_factory=list)
    unlogged: list[PublishedTable] = field(default_factory=list)
    unpublished: list[PublishedTable] = field(default_factory=list)
    altered: list[PublishedTable] = field(default_factory=list)
    gone: list[PublishedTable] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def adopt_new(run: MigrationRun) -> Sequence[str]:
    """Have the target follow what is new in the source; which tables that were, by their names.

    What can't be adopted is in the run's failures, with what to do.

    Raises:
        MigrationError: nothing is followed, or a side refused.
    """
    run.migration.check()
    run.live.moves = True
    with both_ends(run) as ends:
        replication = run.call(lambda: undo_fence(ends.source, ends.target, followed(run, ends)))
        if replication.phase is not Stage.FOLLOWING:
            raise not_following(run, replication)
        found = run.call(lambda: _found(run, ends, replication))
        for refusal in found.refused:
            run.fail(refusal)
        adopted = _adopted(run, ends, replication, found)
    told = f"adopted: {listed(adopted)}; have everything compared now (pg_migration validate)" if adopted else _NOTHING
    run.outcomes.notes.append(told)
    return adopted


_NOTHING = "there is nothing new in the source that could be adopted"


def _found(run: MigrationRun, ends: Ends, replication: Replication) -> _Found:
    changes = changed_tables(ends.source, replication, run.options.exclude_tables, run.schemas)
    schemas = {change.name[0] for change in changes} | {c.now.table.name[0] for c in changes if c.now is not None}
    there = {found.table.name: found.table for found in tables_of(ends.target, schemas)}
    found, gone = _Found(), {change.name for change in changes if change.change is Change.GONE}
    elsewhere = {c.now.table.oid for c in changes if c.change is Change.MOVED and c.now and not _is_there(c, there)}
    for change in changes:
        now = change.now.table if change.now is not None else None
        if change.change is Change.NEW and not (change.name in gone and change.name in there):
            _take_new(change, found)
        elif change.change is Change.GONE and change.was is not None and change.name not in there:
            found.gone.append(change.was)
        elif change.change is Change.UNLOGGED and now is not None:
            found.unlogged.append(now)
        elif change.change is Change.UNPUBLISHED and now is not None:
            if now.oid not in elsewhere:  # which is told, and comes first
                found.unpublished.append(now)
        elif change.change in (Change.COLUMNS, Change.MOVED) and now is not None and _is_there(change, there):
            if now not in found.altered:
                found.altered.append(now)
        else:
            found.refused.append(f"{change}. {_REMEDIES.get(change.change, _ANEW)}")
    return found


def _is_there(change: TableChange, there: Mapping[TableName, PublishedTable]) -> bool:
    """Whether the target's table was changed in the same way."""
    assert change.now is not None
    other, now = there.get(change.now.table.name), change.now.table
    return other is not None and (other.root, other.columns) == (now.root, now.columns)


def _take_new(change: TableChange, found: _Found) -> None:
    assert change.now is not None
    if change.now.unlogged:
        found.unlogged.append(change.now.table)
    elif change.now.identified:
        found.new.append(change.now.table)
    else:
        found.refused.append(
            f"{change}. It has no replica identity (a key that is DEFERRABLE or has generated columns is none): give "
            f"it a primary key (ALTER TABLE ... ADD PRIMARY KEY) or another one (REPLICA IDENTITY USING INDEX, or "
            f"FULL), and adopt it then"
        )


_ANEW = "This can't be adopted: give the replication up (pg_migration abandon), and follow anew"
_ALIKE = (
    "Make the same change in the target, and adopt it again: what was written meanwhile waits for that, or is "
    "compared by the next validate"
)
_REMEDIES = {
    Change.COLUMNS: _ALIKE,
    Change.MOVED: _ALIKE,
    Change.GONE: (
        "Drop it in the target as well, when that has caught up with what was written before (pg_migration lag), and "
        "adopt that"
    ),
    Change.NEW: "The target has the old one of that name still",
    Change.UNIDENTIFIED: "Give it a primary key, or another replica identity (ALTER TABLE ... REPLICA IDENTITY)",
}


def _adopted(run: MigrationRun, ends: Ends, replication: Replication, found: _Found) -> Sequence[str]:
    """Adopt it; the names of the tables."""
    every = [*found.new, *found.unlogged, *found.unpublished, *found.altered, *found.gone]
    make_tables(run, {table.name for table in (*found.new, *found.unlogged)})
    other = {table.oid for table in (*found.altered, *found.gone, *found.unlogged)}
    unlogged = {table.oid for table in found.unlogged}
    altered = (table for table in found.altered if table.oid not in unlogged)
    known = (*(table for table in replication.tables if table.oid not in other), *altered, *found.new)
    reloaded = (*replication.reloaded, *(table.name for table in found.unlogged))
    now = replace(replication, tables=known, reloaded=reloaded, validated_at=None)
    if every:
        run.call(lambda: record(ends.target, now))
    url = run.call(lambda: connection_string(run.sides.source, ends.source, run.migration.replication_url))
    if found.unpublished:
        names = [table.name for table in found.unpublished]
        run.call(lambda: let_tables_go(ends.target, now.name, url, names))
    run.call(lambda: _publish(ends, now, [*found.new, *found.unpublished]))
    if run.call(lambda: _is_behind(ends, now)) or found.altered or found.gone:
        run.call(lambda: take_in_new_tables(ends.target, now.name, url))
        _wait(run, ends, now)
    return sorted({".".join(table.name) for table in every})


def make_tables(run: MigrationRun, names: Collection[TableName]) -> None:
    """Make tables in the target, with all that they need there and all that belongs to them.

    Raises:
        MigrationError: something could not be made; it is in the run's failures.
    """
    if not names:
        return
    catalog = run.call(lambda: run.catalog)
    known = catalog.tables_by_name
    wanted = set(names)
    while above := {parent for name in wanted if name in known for parent in known[name].parents} - wanted:
        wanted |= above
    edges = {item.address: item.depends_on for item in catalog.objects}
    needed = reachable([item.address for item in catalog.objects if item.table in wanted], edges)
    run.call(lambda: _make_needed(run, needed))


def _make_needed(run: MigrationRun, needed: Collection[Address]) -> None:
    """A partition gets the indexes of its table when it is attached, by names of the server's choice, unless it has
    them by then. So it is attached when it has those of the source."""
    failures = len(run.outcomes.failures)
    for phase, later in ((Phase.PRE_DATA, "partition"), (Phase.KEYS, "index attachment"), *((p, "") for p in Phase)):
        lacking = [item for item in missing_objects(run, phase) if item.address in needed and item.kind != later]
        make(run, lacking)
        run.target_catalogs.changed()
        if len(run.outcomes.failures) > failures:
            raise MigrationError(
                "new tables could not be made in the target, and were not adopted. Where rows of a default partition "
                "stand in the way that the source has moved: ALTER SUBSCRIPTION ... ENABLE, and adopt again when the "
                "target has caught up"
            )


def _publish(ends: Ends, replication: Replication, tables: Sequence[PublishedTable]) -> None:
    """Take tables into the publication, in which they may be by their uppermost table."""
    before = {table.root for table in replication.tables if table not in tables}
    now = tables_of(ends.source, {table.name[0] for table in tables}) if tables else ()
    names = {found.table.name: found.published for found in now}
    for table in tables:
        if table.name not in _published(ends, replication):
            publish(
                ends.source,
                replication.name,
                [table.name if table.root in before else names.get(table.name, table.name)],
            )


def _published(ends: Ends, replication: Replication) -> set[TableName]:
    lacking = {c.name for c in changed_tables(ends.source, replication) if c.change is Change.UNPUBLISHED}
    return {table.name for table in replication.tables} - lacking


def _is_behind(ends: Ends, replication: Replication) -> bool:
    """Whether the subscription lacks tables of the publication, or stands still."""
    state = subscription_state(ends.target, replication.name)
    if state is None:
        raise MigrationError(f"the target has no subscription {replication.name} any more")
    return not state.enabled or sum(state.tables.values()) < len(replication.tables)


def _wait(run: MigrationRun, ends: Ends, replication: Replication) -> None:
    """Until the new tables are copied."""
    deadline, stopped = time.monotonic() + COPY_SECONDS, run.connections.stopped()
    while True:
        state = run.call(lambda: subscription_state(ends.target, replication.name))
        if state is None or not state.enabled:
            raise MigrationError(
                f"subscription {replication.name} was disabled: the target's log says which change it could not apply"
            )
        if state.ready:
            return
        if time.monotonic() > deadline or stopped.wait(POLL_SECONDS):
            run.outcomes.notes.append("new tables are still being copied: pg_migration lag tells when that is done")
            return
