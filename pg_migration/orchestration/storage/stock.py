"""Dagster's own storages, used in our way by the process that executes a run.

They are what an instance has that nobody has configured. Our event logs keep their records in the same places and in
the same form, so the process of a run may write through ours while all others read through Dagster's.
"""

import os
from collections.abc import Callable, Sequence
from functools import wraps
from weakref import WeakKeyDictionary

from dagster import DagsterInstance, EventLogEntry
from dagster_postgres import PostgresEventLogStorage

from pg_migration.orchestration.dagster_internals.storing import EventLogStorage, SqliteEventLogStorage
from pg_migration.orchestration.storage.event_log import (
    BATCH_SIZE,
    BATCH_SIZE_VARIABLE,
    KeptPostgresEventLog,
    KeptSqliteEventLog,
    LockingEventLog,
)

Store = Callable[[EventLogStorage, Sequence[EventLogEntry]], None]


def write_through_ours(instance: DagsterInstance, run_id: str | None = None) -> None:
    """Let this process write an instance's events through our event log, where Dagster's own is configured.

    Args:
        run_id: a run that has begun already, which this process executes.
    """
    ours = _ours(instance.event_log_storage)
    if ours is None:
        return
    ours.register_instance(instance)
    instance._event_storage = ours
    if run_id is not None:
        ours.execute_here(run_id)


def _ours(theirs: object) -> LockingEventLog | None:
    """Our event log over the same records; none for ours, nor for what others have made of Dagster's."""
    if type(theirs) is SqliteEventLogStorage:
        return KeptSqliteEventLog(theirs._base_dir)
    if type(theirs) is PostgresEventLogStorage:
        return KeptPostgresEventLog(theirs.postgres_url, False, theirs._token_provider)
    return None


def store_batches_at_once() -> None:
    """Let this process store what is planned for a run in one transaction, where Dagster's own storages are used.

    ``dagster job execute`` makes the run itself, with three events for each table, before any of our code sees the
    instance. Dagster asks its storages to store them together, which these do one by one.
    """
    os.environ.setdefault(BATCH_SIZE_VARIABLE, BATCH_SIZE)
    for dagsters in (SqliteEventLogStorage, PostgresEventLogStorage):
        own: Store = dagsters.store_event_batch  # type: ignore[assignment]  # of a storage, which each of them is
        if not hasattr(own, "one_by_one"):
            dagsters.store_event_batch = _at_once(own)  # type: ignore[assignment, method-assign]


def _at_once(one_by_one: Store) -> Store:
    made: WeakKeyDictionary[EventLogStorage, LockingEventLog] = WeakKeyDictionary()

    @wraps(one_by_one)
    def store(theirs: EventLogStorage, events: Sequence[EventLogEntry]) -> None:
        if theirs not in made and (ours := _ours(theirs)) is not None:
            made[theirs] = ours
        if theirs in made:
            made[theirs].store_event_batch(events)
        else:
            one_by_one(theirs, events)

    store.one_by_one = one_by_one  # type: ignore[attr-defined]
    return store
