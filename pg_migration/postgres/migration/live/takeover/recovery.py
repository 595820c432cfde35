"""Bring what a cutover or a way back has begun to an end: undo what had not taken place, finish what had.

Each step may have been taken already, by a process that is gone. The ledger is written before a step, so it says which.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg2
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.endpoint import Endpoint
from pg_migration.postgres.errors import MigrationError, server_message
from pg_migration.postgres.migration.live.ends import Ends
from pg_migration.postgres.migration.live.undo import UNDECIDED, undo_in_source
from pg_migration.postgres.replication.identities import undo_identities
from pg_migration.postgres.replication.read_only import let_write, undo_read_only, write_anyway
from pg_migration.postgres.replication.record import record
from pg_migration.postgres.replication.source_objects import Found, by_name
from pg_migration.postgres.replication.state import Phase, Replication
from pg_migration.postgres.replication.subscription import connection_string, subscribe, unsubscribe

WRITERS_GO_ON = "what a cutover had begun that is dead: sessions may write again"
WAY_BACK_URL = "PG_MIGRATION_WAY_BACK_URL"


def undo_fence(source: Connection, target: Connection, replication: Replication) -> Replication:
    """Let the writers go on that a cutover (or a way back) was to keep waiting, where it has not taken place.

    Returns:
        How the replication stands then: it goes on.

    Raises:
        MigrationError, psycopg2.Error: a side can't be reached, or refused; to be tried again.
    """
    write_anyway(target)
    if replication.phase is Phase.FENCED:
        let_writers_go_on(source, replication)
        if replication.way_back is not None:
            _drop_way_back(source, target, replication.way_back)
        undone = replace(replication, phase=Phase.FOLLOWING, way_back=None, read_only_before=None)
    elif replication.phase is Phase.RETURNING:
        return undo_return(target, replication)
    else:
        return replication
    record(target, undone)
    return undone


def undo_return(target: Connection, replication: Replication) -> Replication:
    """Let the writers of the target go on that a way back was to keep waiting; the source need not be reached.

    Raises:
        MigrationError, psycopg2.Error: the target refused.
    """
    write_anyway(target)
    undo_read_only(target, replication.target_read_only_before)
    undone = replace(replication, phase=Phase.MOVED, target_read_only_before=None)
    record(target, undone)
    return undone


def let_go_on_alone(source: Connection, found: Found) -> str:
    """Let the writers of the source go on where a cutover is dead and the target can't be asked; what came of it.

    Only where the target has not taken over for sure: what is not sure stays.
    """
    try:
        if let_write(source, found.name, even_decided=False, seconds=0.0):
            return WRITERS_GO_ON
    except MigrationError as refusal:
        return str(refusal)
    return (
        f"new sessions of the source are read only until the target answers: {UNDECIDED} (pg_migration abandon --slot "
        f"{found.name} does that, and gives it up)"
    )


def let_writers_go_on(source: Connection, replication: Replication) -> None:
    """Have new sessions of the source write again, where it is known that the target has not taken over.

    Raises:
        MigrationError: the source refused.
    """
    found = by_name(source, replication.name)
    if found is not None and found.note and found.owned:
        let_write(source, replication.name, even_decided=True)
    else:  # somebody has taken away or altered what would tell what was set
        undo_read_only(source, replication.read_only_before)


def finish(ends: Ends, replication: Replication, target: Endpoint, way_back_url: str) -> None:
    """Take away what the replication had, where the other side has taken over, and begin the way back.

    Raises:
        MigrationError: some of it could not be done: what, and why; all else is.
    """
    steps = list(_steps(ends, replication, target, way_back_url))
    problems = [problem for step in steps if (problem := tried(step)) is not None]
    if problems:
        raise MigrationError("; ".join(problems))


def _steps(ends: Ends, replication: Replication, target: Endpoint, way_back_url: str) -> Iterator[Callable[[], object]]:
    source, there, back = ends.source, ends.target, replication.way_back
    yield lambda: unsubscribe(there, replication.name)
    yield lambda: undo_in_source(source, replication.name, replication.identities, moved=True)
    if replication.phase is Phase.MOVED and back is not None:
        yield lambda: follow_back(ends, replication, target, way_back_url)
        return
    if back is not None:
        yield lambda: _drop_way_back(source, there, back)
    if replication.phase is Phase.BACK:
        yield lambda: undo_read_only(source, replication.read_only_before)
    yield lambda: undo_identities(there, replication.identities, by_name=True)


def tried(step: Callable[[], object]) -> str | None:
    """Why a step could not be taken; None where it was."""
    try:
        step()
    except MigrationError as refusal:
        return str(refusal)
    except psycopg2.Error as refusal:
        return server_message(refusal)
    return None


def follow_back(ends: Ends, replication: Replication, target: Endpoint, way_back_url: str) -> None:
    """Have the old source apply what the target has written since its slot was made."""
    assert replication.way_back is not None, "a way back was asked for"
    url = connection_string(target, ends.target, way_back_url, WAY_BACK_URL)
    back = replace(replication, name=replication.way_back)
    subscribe(ends.source, back, url, ends.target.server_version)


def _drop_way_back(source: Connection, target: Connection, name: str) -> None:
    unsubscribe(source, name)
    undo_in_source(target, name, ())
