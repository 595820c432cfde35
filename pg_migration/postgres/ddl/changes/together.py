"""Changes that are one message and one transaction: over a distance a message takes as long as many changes do."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

# Of changes in one transaction: a server has room for so many locks, and each takes a few.
TOGETHER = 50

# Whoever waits for a lock with others in hand may be in the way of somebody who waits for those. It gives up before a
# server looks for such a deadlock (PostgreSQL docs: deadlock_timeout), and each change is then made by itself.
SHORT_WAITS = "SET LOCAL lock_timeout = '200ms'"


def in_portions(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Pieces of a sequence, each of as many items as are changed together."""
    for start in range(0, len(items), TOGETHER):
        yield items[start : start + TOGETHER]
