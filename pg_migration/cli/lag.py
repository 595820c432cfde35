"""The command ``lag``: how far a target is behind the source that it follows, and what is wrong."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import psycopg2
from tabulate import tabulate

from pg_migration.cli.exit_status import FAILED, MISUSED, SUCCEEDED, Misused, misuse_told
from pg_migration.cli.status import replication as stands
from pg_migration.cli.stopped import STOPPED
from pg_migration.cli.streams import put
from pg_migration.orchestration.pair import Pair
from pg_migration.postgres.errors import MigrationError, server_message
from pg_migration.postgres.migration.live.watch import Watched, watch
from pg_migration.postgres.migration.status import ReplicationStatus
from pg_migration.postgres.replication.state import UNDER_WAY, Phase
from pg_migration.reporting import formats

WATCH_SECONDS = 2.0
AT_ONCE = 8

Found = TypeVar("Found")

NOTHING = "nothing is replicated into {target}: `pg_migration follow` begins it"


@dataclass(frozen=True)
class Told:
    """What a look at a pair found, or why there was none."""

    watched: Watched | None
    problem: str | None = None

    @property
    def status(self) -> int:
        """The exit status for it."""
        if self.watched is None:
            return FAILED
        if self.watched.replication is None:
            return MISUSED
        gone = self.watched.replication.phase in (Phase.ABANDONED, Phase.LOST)
        return FAILED if gone or self.watched.problems else SUCCEEDED

    @property
    def goes_on(self) -> bool:
        """Whether there will be something else to see."""
        watched = self.watched
        return watched is None or (watched.replication is not None and watched.replication.phase in UNDER_WAY)


def lag(pair: Pair, as_json: bool, again: bool) -> int:
    """Print it, with ``again`` every two seconds until nothing is followed; the exit status.

    Raises:
        Misused: nothing was ever replicated into the target, or a URL can't be used.
    """
    with misuse_told():
        migration = pair.migration(pair.options)

    def show(told: Told) -> None:
        if told.watched is not None and told.watched.replication is None:
            raise Misused(NOTHING.format(target=migration.target.description))
        shown = json.dumps(as_data(told), indent=None if again else 2) if as_json else "\n".join(lines(told))
        put(shown + "\n")

    return _again(again, lambda: _look(pair), show, lambda told: told.goes_on, lambda told: told.status)


def lag_of_all(pairs: Mapping[str, Pair], as_json: bool, again: bool) -> int:
    """The same of all pairs, one line for each. Those that follow nothing count as well as those that are near."""

    def look() -> Mapping[str, Told]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return dict(zip(pairs, pool.map(_look, pairs.values()), strict=True))

    def show(found: Mapping[str, Told]) -> None:
        if as_json:
            told = [{"pair": name, **as_data(one)} for name, one in found.items()]
            put(json.dumps(told, indent=None if again else 2) + "\n")
        else:
            rows = [_row(name, one) for name, one in found.items()]
            put(tabulate(rows, headers="keys", tablefmt="simple", disable_numparse=True) + "\n")

    def worst(found: Mapping[str, Told]) -> int:
        return FAILED if any(told.status == FAILED for told in found.values()) else SUCCEEDED

    return _again(again, look, show, lambda found: any(told.goes_on for told in found.values()), worst)


def _again(
    again: bool,
    look: Callable[[], Found],
    show: Callable[[Found], None],
    goes_on: Callable[[Found], bool],
    status: Callable[[Found], int],
) -> int:
    try:
        while True:
            found = look()
            show(found)
            if not again or not goes_on(found):
                return status(found)
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        return STOPPED


def _look(pair: Pair) -> Told:
    try:
        return Told(watch(pair.migration(pair.options)))
    except MigrationError as error:
        return Told(None, str(error))
    except psycopg2.Error as error:
        return Told(None, server_message(error))


def lines(told: Told) -> Iterator[str]:
    """For people."""
    watched = told.watched
    if watched is None or watched.replication is None:
        yield told.problem or "nothing is replicated"
        return
    replication, found = watched.replication, watched.lag
    if replication.changed_at is not None:
        yield stands(ReplicationStatus(replication.name, replication.phase, replication.changed_at, replication.reason))
    if found is not None and replication.phase in UNDER_WAY:
        behind = [formats.duration(found.lag_seconds), formats.size(found.lag_bytes)]
        yield f"behind the source: {_or_unknown(behind[0])}, {_or_unknown(behind[1])} of WAL"
        kept, limit = formats.size(found.retained_wal_bytes), formats.size(replication.max_retained_wal)
        yield f"the source keeps {_or_unknown(kept)} of WAL for it, of {limit} at most"
        if found.applied_per_second is not None:
            yield f"received: {formats.size(found.applied_per_second)} of WAL a second"
        conflicts = [f"{number:,} {kind}" for kind, number in found.conflicts.items() if number]
        told_of = [f"{found.apply_errors:,} errors" if found.apply_errors is not None else "", *conflicts]
        yield ", ".join([f"{found.tables_ready:,} of {found.tables:,} tables are replicated", *filter(None, told_of)])
    for name, said in (("PROBLEM", watched.problems), ("warning", watched.warnings), ("done", watched.done)):
        yield from (f"{name}: {formats.on_one_line(line)}" for line in said)


def _or_unknown(text: str) -> str:
    return text or "an unknown amount"


def as_data(told: Told) -> Mapping[str, object]:
    """For programs."""
    watched = told.watched
    if watched is None:
        return {"phase": None, "problems": [told.problem]}
    replication, found = watched.replication, watched.lag
    data: dict[str, object] = {
        "phase": replication.phase.value if replication else None,
        "name": replication.name if replication else None,
        "reason": replication.reason if replication else None,
        "problems": list(watched.problems),
        "warnings": list(watched.warnings),
        "done": list(watched.done),
    }
    if found is not None and replication is not None:
        data |= {
            "lag_bytes": found.lag_bytes,
            "lag_seconds": found.lag_seconds,
            "retained_wal_bytes": found.retained_wal_bytes,
            "max_retained_wal_bytes": replication.max_retained_wal,
            "received_bytes_per_second": found.applied_per_second,
            "apply_errors": found.apply_errors,
            "conflicts": dict(found.conflicts),
            "tables_ready": found.tables_ready,
            "tables": found.tables,
        }
    return data


def _row(name: str, told: Told) -> Mapping[str, str]:
    row = {
        "pair": name,
        "state": "unknown",
        "behind": "",
        "WAL behind": "",
        "WAL kept": "",
        "remark": told.problem or "",
    }
    watched = told.watched
    if watched is None:
        return {**row, "remark": formats.on_one_line(told.problem or "")}
    if watched.replication is None:
        return {**row, "state": "follows nothing"}
    row |= {"state": watched.replication.phase.value}
    if (found := watched.lag) is not None:
        row |= {
            "behind": formats.duration(found.lag_seconds),
            "WAL behind": formats.size(found.lag_bytes),
            "WAL kept": formats.size(found.retained_wal_bytes),
        }
    said = [*watched.problems, *watched.warnings, *watched.done]
    return {**row, "remark": formats.on_one_line(said[0]) if said else ""}
