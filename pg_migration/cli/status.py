"""The command ``status``: what goes on in the target, for whoever has no window with the run."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from pydantic import TypeAdapter
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from pg_migration.cli.exit_status import FAILED, SUCCEEDED, misuse_told
from pg_migration.cli.live_view import draw
from pg_migration.cli.stopped import STOPPED
from pg_migration.cli.streams import put
from pg_migration.orchestration.pair import Pair
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.migration.status import (
    ReplicationStatus,
    RunStatus,
    Session,
    State,
    Status,
    read_status,
)
from pg_migration.postgres.replication.state import Phase
from pg_migration.reporting import formats

WATCH_SECONDS = 2.0
# What a run told longer ago is not what it does now: it tells nothing while it makes the structure, for example.
STALE_SECONDS = 8.0
WIDTH_OF_FILES = 120
MOST_LINES = 8

Show = Callable[[Status], None]
_ADAPTER = TypeAdapter(Status)


class Unknown(click.ClickException):
    """It can't be told what goes on."""

    exit_code = FAILED


def status(context: click.Context, pair: Pair, as_json: bool, watch: bool) -> None:
    """Print what goes on; with ``watch`` again and again, until nothing does.

    Raises:
        Misused: where nothing says which database is the target.
        Unknown: when it can't be asked.
    """
    with misuse_told():
        target = pair.endpoint(Side.TARGET)
    try:
        with Connections("pg_migration status") as connections, _shown(target, as_json, watch) as show:
            connection = connections.open(target)
            while True:
                found = read_status(connection, target)
                show(found)
                if not watch or not found.is_running:
                    break
                time.sleep(WATCH_SECONDS)
    except MigrationError as error:
        raise Unknown(str(error)) from None
    except KeyboardInterrupt:
        context.exit(STOPPED)
    context.exit(SUCCEEDED)


@contextmanager
def _shown(target: Endpoint, as_json: bool, watch: bool) -> Iterator[Show]:
    """Where to show it: on a terminal that is watched in one place, elsewhere below what was shown before."""
    console = Console(highlight=False, markup=False, emoji=False)
    if as_json:
        yield lambda found: put(json.dumps(as_data(found), indent=None if watch else 2) + "\n")
    elif watch and console.is_terminal and not console.is_dumb_terminal:
        with Live(console=console, auto_refresh=False) as live:
            yield lambda found: live.update(Group(*lines(found, target, console.width)), refresh=True)
    else:
        width = console.width if sys.stdout.isatty() else WIDTH_OF_FILES
        ascii_only = console.options.ascii_only
        yield lambda found: put("".join(f"{line.plain.rstrip()}\n" for line in lines(found, target, width, ascii_only)))


def as_data(found: Status) -> dict[str, object]:
    """What goes on, for programs."""
    return {"running": found.is_running, **_ADAPTER.dump_python(found, mode="json")}


def lines(found: Status, target: Endpoint, width: int, ascii_only: bool = False) -> list[Text]:
    """What goes on, for people."""
    told = [
        Text(f"run {name} has just begun, or it only compares: how far it is, it tells where it was started")
        for name in found.comparing
    ]
    if found.run is None:
        return told or [Text(f"nothing was migrated to {target.description} yet")]
    replicated = [Text(replication(found.replication))] if found.replication is not None else []
    if found.run.state is not State.RUNNING:
        return [*(told or [Text("nothing goes on"), Text(_ended(found.run))]), *replicated]
    return [*told, *_running(found, found.run, width, ascii_only), *replicated]


_PHASES = {
    Phase.PREPARING: "a replication from the source is being prepared",
    Phase.COPYING: "what the source writes meanwhile is kept there, to be replicated after the copy",
    Phase.FOLLOWING: "the target follows the source",
    Phase.FENCED: "a cutover keeps the writers of the source waiting",
    Phase.MOVED: "the target has taken over; migrations into it are refused until `pg_migration release`",
    Phase.ENDED: "the target has taken over, and there is no way back; migrations into it are refused until "
    "`pg_migration release`",
    Phase.RETURNING: "a way back keeps the writers of the target waiting",
    Phase.BACK: "the source has taken over again",
    Phase.ABANDONED: "the target does not follow the source any more",
    Phase.LOST: "the target can't follow the source any more, as its slot was lost",
}


def replication(found: ReplicationStatus) -> str:
    """How a replication stands, in one line."""
    reason = f": {formats.on_one_line(found.reason)}" if found.reason else ""
    return f"{_PHASES[found.phase]}, since {found.changed_at:%Y-%m-%d %H:%M:%S} UTC{reason}"


def _running(found: Status, run: RunStatus, width: int, ascii_only: bool) -> Iterator[Text]:
    since = formats.duration((found.at - run.started_at).total_seconds())
    yield Text(f"run {run.run_id} from {run.source}, since {run.started_at:%H:%M:%S} UTC ({since})")
    stale = found.told_seconds is None or found.told_seconds > STALE_SECONDS
    if found.progress is not None:
        shown = draw(found.progress, width, MOST_LINES, ascii_only)
        yield from shown[-1:] if stale else shown
    if stale:
        ago = f", {formats.roughly(found.told_seconds)} ago" if found.told_seconds is not None else ""
        yield Text("rows are not on their way now" if found.progress is None else f"that was the last it told{ago}")
        yield from map(_session, found.sessions[:MOST_LINES])
    elif waiting := sum(session.waits for session in found.sessions):
        yield Text(f"{formats.counted(waiting, 'worker')} waiting for a lock", style="yellow")


def _session(session: Session) -> Text:
    waits = " (waits for a lock)" if session.waits else ""
    return Text(f"  {formats.duration(session.seconds)}{waits}: {formats.readable(session.statement)}")


def _ended(run: RunStatus) -> str:
    what = f"the last run, {run.run_id} from {run.source},"
    if run.state is State.LOST or run.finished_at is None:
        return (
            f"{what} began at {run.started_at:%Y-%m-%d %H:%M:%S} UTC and was lost before it ended: its process was "
            f"killed, or its connection. The next `pg_migration run` goes on from what it copied."
        )
    outcome = "succeeded" if run.state is State.SUCCEEDED else "FAILED"
    took = formats.duration((run.finished_at - run.started_at).total_seconds())
    return f"{what} {outcome} at {run.finished_at:%Y-%m-%d %H:%M:%S} UTC, after {took}"
