"""Threads that do one piece of work together, and that whoever waits for them can stop."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Event = TypeVar("Event")
Item = TypeVar("Item")
Result = TypeVar("Result")

POLL_SECONDS = 0.2
CANCEL_AGAIN_SECONDS = 1.0

Worker = Callable[[Callable[[Event], None]], None]
"""Does its share of the work, and tells of it by what it is given."""


@dataclass(frozen=True)
class _Failed:
    error: BaseException


@dataclass(frozen=True)
class _Told(Generic[Event]):
    event: Event


def _do_nothing() -> None:
    pass


@dataclass(frozen=True)
class WorkerPool:
    """Runs workers in threads. Signals reach whoever waits for them, as they could not inside libpq.

    When that wait ends by an interrupt or by the first error of a worker, nothing of the work goes on: ``cancel`` is
    called again and again (for what has begun its next statement meanwhile) until every thread has ended.

    Args:
        name: of the threads.
        cancel: interrupts whatever the workers wait for.
        meanwhile: called a few times a second by whoever waits.
    """

    name: str
    cancel: Callable[[], None]
    meanwhile: Callable[[], None] = _do_nothing

    def events(
        self, workers: Sequence[Worker[Event]], stop: Callable[[], None] = _do_nothing
    ) -> Iterator[Event | None]:
        """What the workers tell, as they tell it, and None a few times a second; to the end when all have ended.

        Args:
            stop: has the workers begin nothing more. Called before any is cancelled.

        Raises:
            BaseException: the first that a worker ended with.
        """
        happened: queue.SimpleQueue[_Told[Event] | _Failed | None] = queue.SimpleQueue()

        def work(worker: Worker[Event]) -> None:
            try:
                worker(lambda event: happened.put(_Told(event)))
            except BaseException as error:  # for the thread that waits
                happened.put(_Failed(error))
            finally:
                happened.put(None)

        threads = [
            threading.Thread(target=work, args=(worker,), name=f"pg_migration {self.name} {number}", daemon=True)
            for number, worker in enumerate(workers, 1)
        ]
        try:
            for thread in threads:
                thread.start()
            yield from self._until_all_have_ended(happened, len(threads))
        except BaseException:
            stop()
            while any(thread.is_alive() for thread in threads):
                self.cancel()
                _join(threads, CANCEL_AGAIN_SECONDS)
            raise
        _join(threads)

    def _until_all_have_ended(
        self, happened: "queue.SimpleQueue[_Told[Event] | _Failed | None]", running: int
    ) -> Iterator[Event | None]:
        while running:
            try:
                found = happened.get(timeout=POLL_SECONDS)
            except queue.Empty:
                self.meanwhile()
                yield None
                continue
            if found is None:
                running -= 1
            elif isinstance(found, _Failed):
                raise found.error
            else:
                yield found.event
        self.meanwhile()

    def map(self, work: Callable[[Item], Result], items: Iterable[Item], size: int | None = None) -> list[Result]:
        """What ``work`` makes of each item, in their order.

        Args:
            size: how many items are worked on at once; by default all.

        Raises:
            BaseException: the first that ``work`` raised; nothing more is begun then.
        """
        waiting = list(enumerate(items))
        results: dict[int, Result] = {}
        waiting.reverse()
        stopped = threading.Event()

        def worker(tell: Callable[[tuple[int, Result]], None]) -> None:
            while not stopped.is_set():
                try:
                    number, item = waiting.pop()
                except IndexError:
                    return
                tell((number, work(item)))

        workers = [worker] * min(len(waiting), size or len(waiting))
        results.update(event for event in self.events(workers, stopped.set) if event is not None)
        return [results[number] for number in sorted(results)]


def _join(threads: Sequence[threading.Thread], seconds: float | None = None) -> None:
    """Wait for all, or at most so long."""
    end = None if seconds is None else time.monotonic() + seconds
    for thread in threads:
        if thread.is_alive():
            thread.join(None if end is None else max(0.0, end - time.monotonic()))
