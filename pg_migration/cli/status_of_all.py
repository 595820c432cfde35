"""What goes on in the targets of all pairs: one line for each."""

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tabulate import tabulate

from pg_migration.cli.exit_status import FAILED, SUCCEEDED
from pg_migration.cli.status import WATCH_SECONDS, as_data
from pg_migration.cli.stopped import STOPPED
from pg_migration.cli.streams import put
from pg_migration.orchestration.pair import Pair
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.migration.status import State, Status, read_status
from pg_migration.postgres.transfer.progress import percent
from pg_migration.reporting import formats

AT_ONCE = 8
_WORDS = {State.RUNNING: "running", State.SUCCEEDED: "succeeded", State.FAILED: "FAILED", State.LOST: "lost"}


@dataclass(frozen=True)
class Told:
    """What a target tells, or why it does not."""

    pair: str
    status: Status | None
    problem: str | None = None


def status_of_all(pairs: Mapping[str, Pair], as_json: bool, watch: bool) -> int:
    """Print it, with ``watch`` again until nothing goes on anywhere; the exit status."""
    try:
        while True:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                found = list(pool.map(_ask, pairs.values()))
            put(_as_json(found, watch) if as_json else _table(found))
            if not watch or not any(told.status is not None and told.status.is_running for told in found):
                return FAILED if any(told.status is None for told in found) else SUCCEEDED
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        return STOPPED


def _ask(pair: Pair) -> Told:
    try:
        target = pair.endpoint(Side.TARGET)
        with Connections("pg_migration status") as connections:
            return Told(pair.name, read_status(connections.open(target), target))
    except MigrationError as error:
        return Told(pair.name, None, str(error))


def _as_json(found: Sequence[Told], on_one_line: bool) -> str:
    told = [
        {"pair": one.pair, **(as_data(one.status) if one.status is not None else {"problem": one.problem})}
        for one in found
    ]
    return json.dumps(told, indent=None if on_one_line else 2) + "\n"


def _table(found: Sequence[Told]) -> str:
    return tabulate([_row(told) for told in found], headers="keys", tablefmt="simple", disable_numparse=True) + "\n"


def _row(told: Told) -> Mapping[str, str]:
    row = {"pair": told.pair, "state": "", "since": "", "tables": "", "done": "", "left": "", "remark": ""}
    status = told.status
    if status is None:
        return {**row, "state": "unknown", "remark": formats.on_one_line(told.problem or "")}
    if status.comparing:
        row["remark"] = f"run {', '.join(status.comparing)} has just begun or only compares"
    if status.run is None:
        return {**row, "state": "running" if status.comparing else "never migrated"}
    if status.replication is not None:
        remarks = [row["remark"], f"replication: {status.replication.phase.value}"]
        row["remark"] = "; ".join(filter(None, remarks))
    run, at = status.run, status.run.finished_at or status.run.started_at
    row = {**row, "state": _WORDS[run.state], "since": f"{at:%Y-%m-%d %H:%M:%S} UTC"}
    if run.state is State.RUNNING and status.progress is not None:
        total = status.progress.total
        row["tables"] = f"{total.finished:,} of {total.tables:,}"
        row["done"] = f"{percent(total.share)} %" if total.share is not None else ""
        row["left"] = f"about {formats.roughly(total.seconds_left)}" if total.seconds_left else ""
    return row
