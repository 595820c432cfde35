"""The options that planning and loading depend on. Each is declared once, here or in `migration.options`.

Dagster's run configuration, the Launchpad, the command line and the documentation read these declarations.
"""

import os
from collections.abc import Iterator
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from pg_migration.postgres.errors import ConfigurationError

CopyFormat = Literal["auto", "text"]

MAX_DEFAULT_WORKERS = 8


def default_workers() -> int:
    """As many as this machine has cores, within reason."""
    return max(2, min(os.cpu_count() or 2, MAX_DEFAULT_WORKERS))


class LoadSettings(BaseModel):
    """How a load is cut and run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chunk_size: int = Field(default=100_000, description="Rows that one COPY moves, about.")
    use_unlogged_tables: bool = Field(
        default=False,
        description="Load into UNLOGGED tables and make them LOGGED afterwards. Usually slower: SET LOGGED writes the "
        "table a second time.",
    )
    partition_threshold: int = Field(
        default=1_000_000, description="Tables with more rows than this are cut into primary key ranges."
    )
    max_partitions: int = Field(default=8, description="Into how many ranges a table is cut.")
    # Not a default_factory: the Launchpad fills in defaults, and leaves out what has none in the definitions.
    workers: int = Field(
        default=default_workers(), description="Connections to each side that copy and build indexes at once."
    )
    copy_format: CopyFormat = Field(
        default="auto", description="'auto': binary for tables whose types allow it, which is faster; 'text': never."
    )

    def problems(self) -> Iterator[str]:
        """What is out of range, a setting each."""
        for name, least in (("chunk_size", 1), ("partition_threshold", 0), ("max_partitions", 1), ("workers", 1)):
            if (value := getattr(self, name)) < least:
                yield f"{name} is {value}, but must be at least {least}"
        if self.copy_format not in get_args(CopyFormat):
            yield f"copy_format is {self.copy_format!r}, but must be one of {', '.join(get_args(CopyFormat))}"

    def check(self) -> None:
        """Reject what no run can be made with.

        Raises:
            ConfigurationError: naming every setting that is out of range.
        """
        if wrong := list(self.problems()):
            raise ConfigurationError("the configuration of resource 'migration' can't be used: " + "; ".join(wrong))
