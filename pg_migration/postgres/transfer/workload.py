"""How much work a run has and how fast it goes, and so how long the rest takes.

Work is counted in bytes of tables: to copy a table is its size, and so is to build one of its indexes, or to compare
it. How fast each kind of work goes is measured in this run. What has not begun yet is taken to need a fixed share of
the time that the copy of as many bytes needs.
"""

from dataclasses import dataclass, field
from enum import Enum


class Work(Enum):
    """Kinds of work, in the order that a run does them in."""

    COPY = "copy"
    BUILD = "build"
    COMPARE = "compare"


# The time that work on a table takes, in that of its copy, until it was measured; and how much it counts in a share.
USUAL = {Work.COPY: 1.0, Work.BUILD: 0.4, Work.COMPARE: 0.8}
COUNTING = 0.1  # of the time of hashing the same rows

# What each table costs in round trips, whatever its size.
LEAST_BYTES = 256 * 2**10

# How far something counts as done that takes longer than was expected, and of which nobody tells how far it is.
OVERDUE_SHARE = 0.9

# Less than this says nothing of how fast something goes.
SECONDS_MEASURED = 1.0


@dataclass(frozen=True)
class Amount:
    """Work of one kind, in bytes: all of it, and what is done; ``seconds`` are those that workers spent on that."""

    all: float = 0.0
    done: float = 0.0
    seconds: float = 0.0

    @property
    def left(self) -> float:
        """What is not done, never less than nothing."""
        return max(0.0, self.all - self.done)

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.all + other.all, self.done + other.done, self.seconds + other.seconds)


@dataclass
class Workload:
    """The work of a run. ``workers`` do each kind of it at once."""

    workers: int = 1
    amounts: dict[Work, Amount] = field(default_factory=lambda: dict.fromkeys(Work, Amount()))

    @property
    def share(self) -> float | None:
        """What is done of it all, between 0 and 1; None where there is nothing to do."""
        total = sum(USUAL[work] * amount.all for work, amount in self.amounts.items())
        left = sum(USUAL[work] * amount.left for work, amount in self.amounts.items())
        return 1 - left / total if total else None

    def seconds_of(self, work: Work, amount: float) -> float | None:
        """How long one worker needs for so much work of a kind; None where nothing was measured yet."""
        for measured in dict.fromkeys((work, Work.COPY, Work.COMPARE)):
            found = self.amounts[measured]
            if found.done > 0 and found.seconds >= SECONDS_MEASURED:
                return amount * found.seconds / found.done * USUAL[work] / USUAL[measured]
        return None

    def seconds_left(self, longest: float = 0.0) -> float | None:
        """How long the rest takes, about; None where that can't be told yet.

        Args:
            longest: what it takes at least, as something can't be shared out.
        """
        here, later = 0.0, 0.0
        for work, amount in self.amounts.items():
            if amount.left <= 0:
                continue
            if (seconds := self.seconds_of(work, amount.left)) is None:
                return None
            if work is Work.COMPARE:
                later += seconds / self.workers
            else:
                here += seconds / self.workers
        return max(here, longest) + later
