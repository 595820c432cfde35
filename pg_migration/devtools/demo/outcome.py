"""What the last migration did, told by Dagster's event log and by the two databases themselves."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import psycopg2
from dagster import (
    AssetKey,
    DagsterInstance,
    DagsterRun,
    EventLogEntry,
    FloatMetadataValue,
    IntMetadataValue,
    RunsFilter,
)
from psycopg2 import sql

from pg_migration.postgres.figures import checks_told, count, duration

if TYPE_CHECKING:
    import pandas as pd

JOB = "migrate"
TABLES = "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'r' ORDER BY relname"


@dataclass
class TableOutcome:
    """One table in one run.

    Attributes:
        partitions: how many key ranges arrived.
        seconds: what the copy took; None when the run did not get there.
        passed: checks that passed.
        failed: names of those that did not.
    """

    partitions: int = 0
    seconds: float | None = None
    passed: int = 0
    failed: list[str] = field(default_factory=list)

    @property
    def checks(self) -> str:
        """Both in a few words."""
        return checks_told(self.passed, self.failed) or "none ran"


def last_run(instance: DagsterInstance, since: datetime) -> DagsterRun | None:
    """The newest run of the migration, if there is one that began after ``since``."""
    return next(iter(instance.get_runs(RunsFilter(job_name=JOB, created_after=since), limit=1)), None)


def outcomes(events: Iterable[EventLogEntry], schema: str) -> dict[str, TableOutcome]:
    """Read a run's events.

    Args:
        events: all of one run.
        schema: the first part of the tables' asset keys.

    Returns:
        By table name, those that were materialized or checked.
    """
    found: dict[str, TableOutcome] = defaultdict(TableOutcome)
    for event in events:
        materialization, check = event.asset_materialization, event.asset_check_evaluation
        if materialization is not None and (name := _table(materialization.asset_key, schema)) is not None:
            match materialization.metadata.get("seconds"):
                case FloatMetadataValue(seconds):
                    found[name].seconds = seconds
            match materialization.metadata.get("ranges"):
                case IntMetadataValue(ranges):
                    found[name].partitions = ranges or 0
        elif check is not None and (name := _table(check.asset_key, schema)) is not None:
            if check.passed:
                found[name].passed += 1
            else:
                found[name].failed.append(check.check_name)
    return found


def count_rows(url: str, schema: str) -> dict[str, int]:
    """Exact numbers of rows, by table name."""
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(TABLES, (schema,))
            counts = {}
            for (name,) in cursor.fetchall():
                cursor.execute(sql.SQL("SELECT count(*) FROM ONLY {}").format(sql.Identifier(schema, name)))
                (counts[name],) = cursor.fetchone() or (0,)
            return counts
    finally:
        connection.close()


def table(source: dict[str, int], target: dict[str, int], run: dict[str, TableOutcome]) -> "pd.DataFrame":
    """One line per relation of the source, the largest first."""
    lines = []
    for name in sorted(source, key=lambda name: -source[name]):
        outcome = run.get(name, TableOutcome())
        rows = target.get(name)
        lines.append(
            {
                "relation": name,
                "rows in source": count(source[name]),
                "rows in target": "missing" if rows is None else count(rows),
                "partitions": outcome.partitions,
                "copy": duration(outcome.seconds),
                "rows/s": count(rows / outcome.seconds) if rows and outcome.seconds else "",
                "checks": outcome.checks,
            }
        )
    # As the index, because pandas aligns that to the left.
    import pandas as pd

    return pd.DataFrame(lines).set_index("relation").rename_axis(index=None, columns="relation")


def _table(key: AssetKey, schema: str) -> str | None:
    return key.path[1] if len(key.path) == 2 and key.path[0] == schema else None
