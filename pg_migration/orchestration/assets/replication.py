"""The asset ``replication``: how PostgreSQL itself keeps the target in step with the source.

Dagster does not make it. The step of ``live`` begins it, the sensor ``replication_watch`` tells how it goes, and jobs
end it; so a run that does not follow has no step more.
"""

from collections.abc import Mapping

import dagster as dg

from pg_migration.orchestration.location.names import AFTER_ROWS, LIVE, REPLICATION
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.metadata import Figure
from pg_migration.postgres.migration.live.watch import Watched


def build_replication(relations: Relations) -> dg.AssetSpec:
    """The asset, after everything that a run makes."""
    pair = relations.pair
    return dg.AssetSpec(
        relations.key(REPLICATION),
        deps=[relations.key(LIVE)],
        group_name=pair.named(AFTER_ROWS),
        kinds={"postgres"},
        owners=list(pair.owners),
        description="With `follow: true` PostgreSQL's logical replication keeps the target in step with the source "
        "after the copy, until the job `cutover` or `abandon_replication`. The sensor `replication_watch` tells here "
        "how far behind it is. Nothing was ever replicated where there is nothing to see.",
    )


def figures(watched: Watched) -> Mapping[str, Figure]:
    """What the UI plots of a replication, and what it says of it."""
    replication, lag = watched.replication, watched.lag
    if replication is None:
        return {}
    told: dict[str, Figure] = {"phase": replication.phase.value, "name": replication.name}
    if lag is not None:
        plotted = {
            "lag_bytes": lag.lag_bytes,
            "lag_seconds": lag.lag_seconds,
            "retained_wal_bytes": lag.retained_wal_bytes,
            "applied_bytes_per_second": lag.applied_per_second,
            "apply_errors": lag.apply_errors,
            "conflicts": sum(lag.conflicts.values()),
            "tables_ready": lag.tables_ready,
            "tables": lag.tables,
        }
        told |= {name: round(value, 3) for name, value in plotted.items() if value is not None}
    for name, lines in (("problems", watched.problems), ("warnings", watched.warnings), ("done", watched.done)):
        if lines:
            told[name] = "\n".join(lines)
    return told
