"""How long a planned copy will take, about."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.plan import TablePlan
from pg_migration.postgres.session import fetch

# One worker, where no earlier run has left a figure: cautious for narrow rows between two ordinary machines. Long
# values go faster.
ASSUMED_BYTES_PER_SECOND = 30 * 2**20

# Shorter copies are mostly round trips, which says nothing of longer ones.
LEAST_BYTES_MEASURED = 2**20

_SPEED = """
SELECT sum(byte_count) / sum(extract(epoch FROM finished_at - started_at))
FROM _pg_migration.chunk WHERE byte_count >= %s AND finished_at > started_at
"""


@dataclass(frozen=True)
class TableForecast:
    """One table and the seconds that its copy takes while all workers that it has chunks for are with it."""

    plan: TablePlan
    seconds: float


@dataclass(frozen=True)
class Forecast:
    """All tables in the order of the copy. ``seconds`` is wall time, without indexes, keys and checks.

    ``bytes_per_second`` is the speed of one worker; ``measured`` tells whether earlier runs had it.
    """

    tables: tuple[TableForecast, ...]
    workers: int
    bytes_per_second: float
    measured: bool

    @property
    def rows(self) -> int:
        """Estimated rows in all."""
        return sum(table.plan.rows for table in self.tables)

    @property
    def bytes(self) -> int:
        """Bytes of all tables in the source, out-of-line values included."""
        return sum(table.plan.bytes for table in self.tables)

    @property
    def chunks(self) -> int:
        """COPY statements in all."""
        return sum(table.plan.chunk_count for table in self.tables)

    @property
    def seconds(self) -> float:
        """All workers busy to the end, but no faster than the table that takes longest by itself."""
        return max([self.bytes / self.bytes_per_second / self.workers, *(table.seconds for table in self.tables)])


def forecast(plans: Sequence[TablePlan], workers: int, bytes_per_second: float | None) -> Forecast:
    """The time that plans take.

    Args:
        bytes_per_second: of one worker, as `usual_speed` found it; None takes `ASSUMED_BYTES_PER_SECOND`.
    """
    speed = bytes_per_second or ASSUMED_BYTES_PER_SECOND
    tables = [TableForecast(p, p.bytes / speed / max(1, min(workers, p.chunk_count))) for p in plans]
    return Forecast(tuple(tables), workers, speed, bytes_per_second is not None)


def usual_speed(target: Connection) -> float | None:
    """Bytes per second and worker, over all chunks in the target's ledger; None when there are none of some size."""
    if fetch(target, "SELECT to_regclass('_pg_migration.chunk') IS NULL") == [(True,)]:
        return None
    ((speed,),) = fetch(target, _SPEED, (LEAST_BYTES_MEASURED,))
    return float(speed) if speed else None
