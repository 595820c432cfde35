"""How long a planned copy will take, about."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Table
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.ledger.schema import has
from pg_migration.postgres.planning.plan import TablePlan

# One worker, where no earlier run has left a figure: cautious for narrow rows between two ordinary machines. Long
# values go faster.
ASSUMED_BYTES_PER_SECOND = 30 * 2**20

# Shorter copies are mostly round trips, which says nothing of longer ones.
MIN_BYTES_MEASURED = 2**20

_SPEED = """
SELECT sum(byte_count) / sum(extract(epoch FROM finished_at - started_at))
FROM _pg_migration.chunk WHERE byte_count >= %s AND finished_at > started_at
"""


@dataclass(frozen=True)
class TableForecast:
    """How one table would be copied, by its name in the source.

    ``rows`` is an estimate; ``bytes`` are those in the source, out-of-line values included. ``seconds`` is the time of
    its copy while all workers that it has chunks for are with it. ``transform`` tells which rows are chosen, and which
    columns masked how; empty where all are read as they are.
    """

    table: str
    rows: int
    bytes: int
    wire_format: str
    cut_by: str
    ranges: tuple[str, ...]
    chunks: int
    frozen: bool
    seconds: float
    transform: str = ""


@dataclass(frozen=True)
class Forecast:
    """What a run would copy, in that order, and in all. ``seconds`` is wall time, without indexes, keys and checks.

    Large objects are counted apart; those that the target has already are among them. ``bytes_per_second`` is the speed
    of one worker; ``measured`` tells whether earlier runs had it.
    """

    tables: tuple[TableForecast, ...]
    workers: int
    rows: int
    bytes: int
    chunks: int
    seconds: float
    bytes_per_second: float
    measured: bool
    large_objects: int = 0
    large_object_bytes: int = 0


def forecast(plans: Sequence[TablePlan], workers: int, bytes_per_second: float | None) -> Forecast:
    """The time that plans take: all workers busy to the end, but no less than the longest table by itself.

    Args:
        bytes_per_second: of one worker, as `usual_speed` found it; None takes `ASSUMED_BYTES_PER_SECOND`.
    """
    speed = bytes_per_second or ASSUMED_BYTES_PER_SECOND
    tables = tuple(_table(plan, workers, speed) for plan in plans)
    total = sum(table.bytes for table in tables)
    return Forecast(
        tables,
        workers,
        rows=sum(table.rows for table in tables),
        bytes=total,
        chunks=sum(table.chunks for table in tables),
        seconds=max([total / speed / workers, *(table.seconds for table in tables)]),
        bytes_per_second=speed,
        measured=bytes_per_second is not None,
    )


def with_large_objects(found: Forecast, objects: int, size: int) -> Forecast:
    """A forecast that counts large objects, too: they are copied by themselves."""
    seconds = found.seconds + size / found.bytes_per_second / found.workers
    return replace(found, large_objects=objects, large_object_bytes=size, seconds=seconds)


def _table(plan: TablePlan, workers: int, speed: float) -> TableForecast:
    return TableForecast(
        ".".join(plan.name),
        plan.rows,
        plan.bytes,
        plan.wire_format,
        plan.cut_by,
        tuple(piece.range.key for piece in plan.ranges),
        plan.chunk_count,
        plan.frozen,
        plan.bytes / speed / max(1, min(workers, plan.chunk_count)),
        plan.table.transform.told if plan.table.transform is not None else "",
    )


def usual_speed(target: Connection) -> float | None:
    """Bytes per second and worker, over all chunks in the target's ledger; None when there are none of some size."""
    if not has(target, "chunk"):
        return None
    ((speed,),) = fetch(target, _SPEED, (MIN_BYTES_MEASURED,))
    return float(speed) if speed else None


def copying_takes(target: Connection, tables: Sequence[Table], workers: int) -> float:
    """About how many seconds the copy of some tables takes, before any of them is planned."""
    speed = usual_speed(target) or ASSUMED_BYTES_PER_SECOND
    return sum(table.bytes for table in tables) / speed / workers
