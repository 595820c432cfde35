"""What each worker of a run does now, as a table in the UI.

All tables are one step to Dagster, whose pages show of a step that it goes on. So a run observes the asset ``summary``
while it copies and compares; what it observed last is on that asset's page.
"""

from collections.abc import Iterator

import dagster as dg

from pg_migration.orchestration.location.names import SUMMARY
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.metadata import progress_metadata
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.transfer.events import Event
from pg_migration.postgres.transfer.progress import Pace, Progress


class LiveTable:
    """Listens to a run for one of its steps."""

    def __init__(self, run: MigrationRun, relations: Relations) -> None:
        self._asset = relations.key(SUMMARY)
        self._pace = Pace()
        self._latest: Progress | None = None
        run.listeners.append(self._hear)

    def _hear(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._latest = event

    def observations(self) -> Iterator[dg.AssetObservation]:
        """What the step should yield now: how far the run is, if there is something new and it is time to."""
        if self._latest is not None and self._pace.is_due():
            yield dg.AssetObservation(self._asset, metadata=progress_metadata(self._latest))
            self._latest = None
