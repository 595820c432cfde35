"""How often, and after which pauses, work is done again that failed for a while."""

import threading

# Pauses before each further attempt of work whose connection was lost: half a minute in all, for a failover's worth.
RETRY_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)


class Retry:
    """The further attempts at one piece of work, each after a longer pause."""

    def __init__(self, stopped: threading.Event | None = None) -> None:
        """
        Args:
            stopped: once it is set, there are no further attempts, and whoever pauses goes on at once.
        """
        self._stopped = stopped if stopped is not None else threading.Event()
        self._made = 0

    @property
    def is_possible(self) -> bool:
        """Whether there is a further attempt."""
        return self._made < len(RETRY_SECONDS) and not self._stopped.is_set()

    def pause(self) -> bool:
        """Wait for the next attempt; whether there is one."""
        if not self.is_possible:
            return False
        pause = RETRY_SECONDS[self._made]
        self._made += 1
        return not self._stopped.wait(pause)

    def renew(self) -> None:
        """The work has gone on: what fails from now on is a trouble of its own."""
        self._made = 0
