"""Tasks with prerequisites, handed to several workers, the heaviest first."""

import heapq
import itertools
import threading
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Task = TypeVar("Task", bound=Hashable)


@dataclass
class _Node(Generic[Task]):
    weight: int
    rank: int
    waiting_for: int
    doomed_by: Task | None = None


class Schedule(Generic[Task]):
    """A graph of tasks that workers take from and report to; every method may be called from any thread.

    A task becomes ready when all it comes ``after`` has succeeded and all it ``follows`` is settled one way or the
    other. A task that comes after a failed one is never handed out; ``on_skip`` is told, with the task that failed.
    Prerequisites are added before what needs them.
    """

    def __init__(self, on_skip: Callable[[Task, Task], None]) -> None:
        self._on_skip = on_skip
        self._nodes: dict[Task, _Node[Task]] = {}
        self._after: dict[Task, list[tuple[Task, bool]]] = {}
        self._ready: list[tuple[int, int, int, Task]] = []
        self._order = itertools.count()
        self._unsettled = 0
        self._stopped = False
        self._changed = threading.Condition()

    def add(
        self, task: Task, weight: int, after: Iterable[Task] = (), follows: Iterable[Task] = (), rank: int = 0
    ) -> None:
        """Add a task; all before the first `take`.

        Args:
            rank: of tasks that are as heavy, those with a lower one come first.
        """
        needed, awaited = set(after), set(follows)
        self._nodes[task] = _Node(weight, rank, len(needed | awaited))
        for prerequisite in needed | awaited:
            self._after.setdefault(prerequisite, []).append((task, prerequisite in needed))
        self._unsettled += 1
        if not needed | awaited:
            self._push(task)

    def take(self) -> Task | None:
        """The heaviest ready task; waits for one, and returns None when nothing is left or the schedule was stopped."""
        with self._changed:
            while not self._ready and self._unsettled and not self._stopped:
                self._changed.wait()
            if self._stopped or not self._ready:
                return None
            return heapq.heappop(self._ready)[-1]

    def give_back(self, task: Task) -> None:
        """Hand a task that was taken to another worker."""
        with self._changed:
            self._push(task)
            self._changed.notify_all()

    def settle(self, task: Task, succeeded: bool) -> None:
        """Report how a task that was taken has ended."""
        skipped: list[tuple[Task, Task]] = []
        with self._changed:
            self._settle(task, task if not succeeded else None, skipped)
            self._changed.notify_all()
        for skipped_task, cause in skipped:
            self._on_skip(skipped_task, cause)

    def stop(self) -> None:
        """Hand out nothing more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _settle(self, first: Task, cause: Task | None, skipped: list[tuple[Task, Task]]) -> None:
        settled = [(first, cause)]
        while settled:
            task, failed = settled.pop()
            self._unsettled -= 1
            for dependent, needs_success in self._after.get(task, ()):
                node = self._nodes[dependent]
                node.waiting_for -= 1
                if failed is not None and needs_success and node.doomed_by is None:
                    node.doomed_by = failed
                if node.waiting_for:
                    continue
                if node.doomed_by is None:
                    self._push(dependent)
                else:
                    skipped.append((dependent, node.doomed_by))
                    settled.append((dependent, node.doomed_by))

    def _push(self, task: Task) -> None:
        node = self._nodes[task]
        heapq.heappush(self._ready, (-node.weight, node.rank, next(self._order), task))
