"""The options of a migration."""

import os
from dataclasses import dataclass
from typing import Literal

from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.planning.options import LoadSettings

Owners = bool | Literal["best_effort"]
OWNERS: tuple[Owners, ...] = (True, False, "best_effort")

MOST_DEFAULT_WORKERS = 8


@dataclass(frozen=True, kw_only=True)
class Options:
    """The run configuration of resource ``migration``."""

    load: LoadSettings
    exclude_tables: tuple[str, ...]
    drop_existing_tables: bool
    overwrite_existing_rows: bool
    check_content: bool
    content_sample_percent: float
    owners: Owners
    privileges: bool
    create_roles: bool
    spread_over: int

    def check(self) -> None:
        """Reject what no run can be made with.

        Raises:
            ConfigurationError: naming every setting that is out of range.
        """
        self.load.check()
        if self.owners not in OWNERS:
            raise ConfigurationError(
                f"the configuration of resource 'migration' can't be used: owners is {self.owners!r}, but must be "
                f"true, false or best_effort"
            )
        if not 0 < self.content_sample_percent <= 100:
            raise ConfigurationError(
                f"the configuration of resource 'migration' can't be used: content_sample_percent is "
                f"{self.content_sample_percent:g}, but must be more than 0 and at most 100"
            )


def default_workers() -> int:
    """As many as this machine has cores, within reason."""
    return max(2, min(os.cpu_count() or 2, MOST_DEFAULT_WORKERS))
