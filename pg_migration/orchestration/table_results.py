"""What became of each table in a run, as its summary, its message to people and its report tell it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.figures import Bytes, Seconds, checks_told
from pg_migration.postgres.ledger.chunks import LoadedRange
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.transfer.events import TableLoaded

NOT_COPIED = "not copied"
FAILED = "failed"


@dataclass(frozen=True)
class TableResult:
    """One table: ``rows``, ``bytes`` and ``ranges`` are of what is in the target, whichever run copied it."""

    name: TableName
    state: str
    rows: int | None
    bytes: int | None
    ranges: int | None
    seconds: float | None
    rows_per_second: int | None
    checks: Mapping[str, bool]

    @property
    def is_good(self) -> bool:
        """Whether nothing is known against it."""
        return self.state not in (FAILED, NOT_COPIED) and all(self.checks.values())

    @property
    def row(self) -> Mapping[str, object]:
        """The columns to show. What matters most comes first: the page of an asset has room for five or six."""
        failed = [check for check, passed in self.checks.items() if not passed]
        return {
            "table": ".".join(self.name),
            "rows": self.rows,
            "state": self.state,
            "checks": checks_told(len(self.checks) - len(failed), failed),
            "seconds": Seconds(self.seconds) if self.seconds is not None else None,
            "rows/s": self.rows_per_second,
            "bytes": Bytes(self.bytes) if self.bytes is not None else None,
            "ranges": self.ranges,
        }


def table_result(run: MigrationRun, name: TableName, earlier: Sequence[LoadedRange] | None = None) -> TableResult:
    """What became of a table, by its name in the target.

    Args:
        earlier: what the ledger knows of a table that this run did not copy.
    """
    outcomes = run.outcomes
    loaded, checks = outcomes.loaded.get(name), outcomes.checks.get(name, {})
    if loaded is not None:
        ranges, seconds, speed = loaded.ranges, loaded.seconds, rows_per_second(loaded)
        return TableResult(
            name, _how_it_was_loaded(run, name), loaded.rows, loaded.bytes, len(ranges), seconds, speed, checks
        )
    state, before = _state(run, name, earlier), earlier or None
    return TableResult(
        name=name,
        state=state,
        rows=sum(r.rows for r in before) if before else None,
        bytes=sum(r.bytes for r in before) if before else None,
        ranges=len(before) if before else None,
        seconds=None,
        rows_per_second=None,
        checks=checks,
    )


def rows_per_second(done: TableLoaded) -> int:
    """Throughput of the copy alone, without indexes."""
    return round(done.copied_rows / done.seconds) if done.seconds > 0 else 0


def _state(run: MigrationRun, name: TableName, earlier: Sequence[LoadedRange] | None) -> str:
    """What to say of a table that this run did not copy."""
    outcomes = run.outcomes
    if name in outcomes.failed or name in {
        run.as_known(run.catalog.target_name(table)) for table in run.not_made("table")
    }:
        return FAILED
    if earlier:
        return "copied by " + ", ".join(sorted({f"run {p.run_id[:8]} from snapshot {p.snapshot}" for p in earlier}))
    if run.sides.snapshot is None and name in outcomes.checks:
        return "compared"
    return "excluded" if run.begun and not run.tables([name]) else NOT_COPIED


def _how_it_was_loaded(run: MigrationRun, name: TableName) -> str:
    if continued := run.outcomes.loaded[name].continued:
        if continued.carried:
            return f"carried from the live copy: {continued}"
        return f"continued: {continued}"
    if reason := run.outcomes.reloaded.get(name):
        return f"loaded anew after a run that failed: {reason}"
    if reason := run.outcomes.not_carried.get(name):
        return f"copied, as {reason}"
    return "copied"
