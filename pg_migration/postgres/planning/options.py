"""The options that planning and loading depend on."""

from dataclasses import dataclass
from typing import Literal, get_args

from pg_migration.postgres.errors import ConfigurationError

CopyFormat = Literal["auto", "text"]


@dataclass(frozen=True)
class LoadSettings:
    """How a load is cut and run.

    Args:
        chunk_size: rows that one COPY moves, about.
        partition_threshold: tables with more estimated rows than this are cut into key ranges.
        max_partitions: into how many.
        workers: connections per side that copy at the same time.
        use_unlogged_tables: load into UNLOGGED tables and make them LOGGED before indexes are built.
        copy_format: ``auto`` is binary for tables whose types allow it, ``text`` is text for all.
    """

    chunk_size: int = 100_000
    partition_threshold: int = 1_000_000
    max_partitions: int = 8
    workers: int = 2
    use_unlogged_tables: bool = False
    copy_format: CopyFormat = "auto"

    def check(self) -> None:
        """Reject what no load can be run with.

        Raises:
            ConfigurationError: naming every setting that is out of range.
        """
        wrong = [
            f"{name} is {value}, but must be at least {least}"
            for name, value, least in (
                ("chunk_size", self.chunk_size, 1),
                ("partition_threshold", self.partition_threshold, 0),
                ("max_partitions", self.max_partitions, 1),
                ("workers", self.workers, 1),
            )
            if value < least
        ]
        if self.copy_format not in get_args(CopyFormat):
            wrong.append(f"copy_format is {self.copy_format!r}, but must be one of {', '.join(get_args(CopyFormat))}")
        if wrong:
            raise ConfigurationError("the configuration of resource 'migration' can't be used: " + "; ".join(wrong))
