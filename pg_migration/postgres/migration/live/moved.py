"""How one database takes over from another: what is asked for, what it is expected to cost, and what it came to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.figures import counted, duration, listed

Check = Literal["count", "content"]


@dataclass(frozen=True)
class CutoverOptions:
    """How a database is to take over.

    Args:
        max_pause_seconds: how long writers may be kept waiting at most.
        check: what is compared of every table while they wait: how many rows there are, or all values.
        way_back: whether what is written afterwards is to be replicated to where it was written before.
        command: run when the new database has taken over, by a shell; empty for none.
    """

    max_pause_seconds: float = 60
    check: Check = "count"
    way_back: bool = False
    command: str = field(default="", repr=False)

    def demand_sense(self) -> None:
        """Reject what can't be done.

        Raises:
            ConfigurationError: an option is out of range.
        """
        if self.check not in get_args(Check):
            raise ConfigurationError(f"check is {self.check!r}, but must be one of {', '.join(get_args(Check))}")
        if not 1 <= self.max_pause_seconds <= 86400:
            raise ConfigurationError(
                f"max_pause is {self.max_pause_seconds:g} s, but must be at least 1 s and at most a day"
            )


@dataclass(frozen=True)
class Rehearsal:
    """What a cutover would meet now: ``problems`` would stop it before anybody waits, ``parts`` are the seconds that
    writers are expected to wait for each of its parts."""

    problems: Sequence[str]
    warnings: Sequence[str]
    parts: Mapping[str, float]

    @property
    def seconds(self) -> float:
        """How long writers would wait, about."""
        return sum(self.parts.values())

    def __str__(self) -> str:
        if not self.parts:
            return "expected pause: not known, as a cutover is not possible now"
        return f"expected pause: {self.seconds:.1f} s ({_told(self.parts)})"


@dataclass(frozen=True)
class Moved:
    """That one database has taken over from another.

    ``pause_seconds`` is how long writers waited, ``parts`` for what. ``way_back`` is the name of what replicates
    in the other direction, where there is that. ``sessions`` were ended, ``left`` could not be.
    """

    tables: int
    checked: Check
    pause_seconds: float
    parts: Mapping[str, float]
    sessions: int
    left: Sequence[str]
    way_back: str | None = None

    def __str__(self) -> str:
        told = (
            f"writers waited for {duration(self.pause_seconds)} ({_told(self.parts)}); {counted(self.tables, 'table')} "
            f"compared by {self.checked}, {counted(self.sessions, 'session')} ended"
        )
        if self.left:
            told += f"; still connected, as this role may not end them: {listed(self.left)}"
        return told + ("; what is written from now on is replicated back" if self.way_back else "")


def _told(parts: Mapping[str, float]) -> str:
    return ", ".join(f"{part} {seconds:.2f} s" for part, seconds in parts.items())
