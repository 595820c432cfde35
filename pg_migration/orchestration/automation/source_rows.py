"""What Dagster's daemon watches: key ranges that nobody planned, and the source's structure and rows."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any

import dagster as dg
import psycopg2

from pg_migration.orchestration.automation.following import why_not_migrate
from pg_migration.orchestration.location import names
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.run_tags import FINISHED, UNFINISHED
from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.catalog.patterns import is_excluded
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.errors import MigrationError, server_message
from pg_migration.postgres.ledger.source_state import LARGE_OBJECTS
from pg_migration.postgres.source_changes.written_tables import copied_at, read_marks

WATCH_INTERVAL_SECONDS = 600

# After a migration that failed the next one is asked for one interval later, then after twice as long each time.
MAX_WAITING_SECONDS = 6 * 3600
MAX_FAILURES_COUNTED = 10


def build_source_rows_changed(relations: Relations, job: dg.JobDefinition) -> dg.SensorDefinition:
    """The sensor that copies tables again which were written to since they were copied.

    Tables that were not written to are the same in the snapshot of the next run as in that of their copy, so the target
    is of one point in time after a run over the others alone. With ``refresh: swap`` a run is always over all.
    """

    @dg.sensor(
        name=relations.pair.named("source_rows_changed"),
        minimum_interval_seconds=WATCH_INTERVAL_SECONDS,
        job=job,
        description="Starts `migrate` for the tables of the source that were written to since they were copied, and "
        "for large objects likewise, as the source's statistics tell without reading them. When it fails, it is "
        "started again, each time after twice as long.",
    )
    def source_rows_changed(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        running = context.instance.get_runs(dg.RunsFilter(job_name=job.name, statuses=UNFINISHED), limit=1)
        if running:
            return dg.SkipReason(f"run {running[0].run_id} has not ended yet")
        try:
            marks, copied = _look_at_rows(relations)
        except (MigrationError, psycopg2.Error) as error:
            return dg.SkipReason(message_of(error))
        watch = Watch.parse(context.cursor).after(marks, copied)
        cursor = watch.text()
        written = sorted(name for name, mark in marks.items() if watch.copied.get(name) != mark)
        if not context.cursor:
            return dg.SensorResult(skip_reason=f"{_counted(marks)}; they are watched from now on", cursor=cursor)
        if not written:
            return dg.SensorResult(skip_reason="nothing was written to since it was copied", cursor=cursor)
        failures = _failures(context.instance, job.name)
        if failures and (left := failures.seconds_left()) > 0:
            return dg.SensorResult(skip_reason=f"{failures}: the next one is started in {left:,.0f} s", cursor=cursor)
        if (reason := why_not_migrate(relations.pair)) is not None:
            return dg.SensorResult(skip_reason=reason, cursor=cursor)
        # All of them, without a selection, is the whole migration: objects without rows come along as well. So it is
        # where the copy is swapped as a whole; what was not written to may come from the live one (reuse_unchanged).
        some = len(written) < len(marks) and not relations.pair.swaps()
        selection = [_key(relations, name) for name in written] if some else None
        request = dg.RunRequest(
            # A key is used once: after a failure the same tables need another one.
            run_key=_digest([*((*name, marks[name]) for name in written), *([failures.newest] if failures else [])]),
            run_config=relations.pair.started_config(),
            asset_selection=selection,
        )
        return dg.SensorResult(run_requests=[request], cursor=cursor)

    return source_rows_changed


@dataclass(frozen=True)
class _Failures:
    """How many migrations have failed since the last one that did not, which was the newest, and when it ended."""

    number: int
    newest: str
    ended_at: float

    def __str__(self) -> str:
        return f"run {self.newest} failed" + (f", as did the {self.number - 1} before it" if self.number > 1 else "")

    def seconds_left(self) -> float:
        """How long to wait until the next one is started."""
        pause = min(WATCH_INTERVAL_SECONDS << (self.number - 1), MAX_WAITING_SECONDS)
        return self.ended_at + pause - time.time()


def _failures(instance: dg.DagsterInstance, job: str) -> _Failures | None:
    """What went wrong last; None when the last migration succeeded or was canceled."""
    ended = dg.RunsFilter(job_name=job, statuses=FINISHED)
    failed = list(takewhile(_has_failed, instance.get_run_records(ended, limit=MAX_FAILURES_COUNTED)))
    if not failed:
        return None
    newest = failed[0]
    ended_at = newest.end_time if newest.end_time is not None else newest.update_timestamp.timestamp()
    return _Failures(len(failed), newest.dagster_run.run_id, ended_at)


def _has_failed(record: dg.RunRecord) -> bool:
    return record.dagster_run.status is dg.DagsterRunStatus.FAILURE


@dataclass(frozen=True)
class Watch:
    """What the sensor remembers: what tables looked like at its last tick, and before they were copied last.

    Names are the target's; ``at`` is the source's clock, in ISO format.
    """

    at: str
    seen: Mapping[TableName, str]
    copied: Mapping[TableName, str]

    @classmethod
    def parse(cls, cursor: str | None) -> "Watch":
        """What `text` wrote; nothing at the first tick."""
        known: dict[str, Any] = json.loads(cursor) if cursor else {"at": "", "seen": [], "copied": []}
        seen, copied = ({(s, n): mark for s, n, mark in known[part]} for part in ("seen", "copied"))
        return cls(known["at"], seen, copied)

    def text(self) -> str:
        """For the cursor."""
        parts = {
            part: [[*name, mark] for name, mark in sorted(marks.items())]
            for part, marks in (("seen", self.seen), ("copied", self.copied))
        }
        return json.dumps({"at": self.at, **parts})

    def after(self, marks: "MarksNow", copied: Mapping[TableName, datetime]) -> "Watch":
        """What is to be remembered next.

        A copy whose snapshot was taken after the last tick has all that had been written by then, so the marks of that
        tick become what later ones are compared with.
        """
        since = datetime.fromisoformat(self.at) if self.at else None
        fresh = {
            name: self.seen[name]
            for name, at in copied.items()
            if since is not None and at > since and name in self.seen
        }
        known = {name: mark for name, mark in {**self.copied, **fresh}.items() if name in marks and name in copied}
        return Watch(marks.at.isoformat(), dict(marks), known)


class MarksNow(dict[TableName, str]):
    """Marks by target name, with the time at which they were read."""

    def __init__(self, at: datetime, marks: Mapping[TableName, str]) -> None:
        super().__init__(marks)
        self.at = at


def _look_at_rows(relations: Relations) -> tuple[MarksNow, Mapping[TableName, datetime]]:
    with Connections("pg_migration source_rows_changed") as connections:
        # The ledger first: a run that ends in between is then taken for unfinished, and its tables for written to.
        pair, schemas = relations.pair, relations.location.schemas
        source = pair.endpoint(Side.SOURCE)
        copied = copied_at(connections.open(pair.endpoint(Side.TARGET)), source)
        large_objects = relations.location.has_large_objects and pair.copies_large_objects()
        found = read_marks(connections.open(source), list(schemas), large_objects)
    named = {(schemas.get(schema, schema), name): mark for (schema, name), mark in found.by_table.items()}
    excluded = pair.excluded_tables()
    watched = {
        name for name, listing in relations.listings.items() if not is_excluded(listing.schema, listing.name, excluded)
    }
    watched.add(LARGE_OBJECTS)
    return MarksNow(found.at, {name: mark for name, mark in named.items() if name in watched}), copied


def _key(relations: Relations, name: TableName) -> dg.AssetKey:
    return relations.key(names.LARGE_OBJECTS) if name == LARGE_OBJECTS else relations.keys[name]


def _counted(marks: Mapping[TableName, str]) -> str:
    tables = len(marks.keys() - {LARGE_OBJECTS})
    return f"{tables:,} tables{' and the large objects' if LARGE_OBJECTS in marks else ''}"


def message_of(error: Exception) -> str:
    return str(error) if isinstance(error, MigrationError) else server_message(error)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
