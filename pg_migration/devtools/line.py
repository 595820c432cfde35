"""A line between a client and a server that takes time, has a width, and counts round trips.

It understands nothing of what it forwards: a round trip is whatever a client sends until the server answers.
It is a process of its own, since clients may wait for it and let no other thread run meanwhile.
"""

import asyncio
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

HOST = "127.0.0.1"
# What one call reads, and what of one direction of a connection may be under way beside what the line holds by itself.
READ_BYTES = 256 * 1024
# A line without a limit, for the size of what is under way.
WIDE = 1e9


class Line:
    """A TCP port of this machine that leads to another one, as long as the ``with`` block lasts.

    Attributes:
        port: where to connect instead.
    """

    port: int

    def __init__(self, port: int, round_trip: float = 0.0, bytes_per_second: float | None = None) -> None:
        """
        Args:
            port: of the server, on this machine.
            round_trip: seconds from a question to its answer, half of them for each way.
            bytes_per_second: of each connection, each way; None for no limit.
        """
        self._arguments = [str(port), str(round_trip), str(bytes_per_second or 0.0)]
        self._process: subprocess.Popen[str]

    def __enter__(self) -> "Line":
        command = [sys.executable, "-m", "pg_migration.devtools.line", *self._arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        (self.port,) = self._say()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def counted(self) -> tuple[int, int]:
        """How many connections were made until now, and how often a server answered what its client had sent.

        The first round trips of each connection negotiate and authenticate. Requests to cancel are connections, too.
        """
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)
        connections, round_trips = self._say()
        return connections, round_trips

    def _say(self) -> list[int]:
        assert self._process.stdout is not None
        return [int(word) for word in self._process.stdout.readline().split()]


@dataclass
class _Forwarding:
    """What the process of a line does."""

    port: int
    round_trip: float
    bytes_per_second: float
    connections: int = 0
    round_trips: int = 0

    def seconds_for(self, size: int) -> float:
        return size / self.bytes_per_second if self.bytes_per_second else 0.0

    @property
    def window(self) -> float:
        return READ_BYTES + self.round_trip * (self.bytes_per_second or WIDE)

    async def run(self) -> None:
        """Tell the port, then the counts for each line that is read, until there are no more."""
        loop = asyncio.get_running_loop()
        listening = await asyncio.start_server(self._connection, HOST, 0)
        print(listening.sockets[0].getsockname()[1], flush=True)
        while await loop.run_in_executor(None, sys.stdin.readline):
            print(self.connections, self.round_trips, flush=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        begins = asyncio.get_running_loop().time() + self.round_trip  # to connect is a round trip of its own
        try:
            from_server, to_server = await asyncio.open_connection(HOST, self.port)
        except OSError:
            writer.close()
            return
        conversation = _Conversation(self)
        ways = (
            _forward(reader, to_server, _Way(self, begins), conversation.ask),
            _forward(from_server, writer, _Way(self, begins), conversation.answer),
        )
        try:
            await asyncio.gather(*ways)
        except (OSError, asyncio.CancelledError):
            pass  # one end is gone, which the other one is told, or the line is
        finally:
            writer.close()
            to_server.close()


@dataclass
class _Conversation:
    """Who spoke last on one connection."""

    forwarding: _Forwarding
    asked: bool = False

    def ask(self) -> None:
        self.asked = True

    def answer(self) -> None:
        self.forwarding.round_trips += self.asked
        self.asked = False


@dataclass
class _Way:
    """What goes one way on one connection: read, and under way until it is due."""

    forwarding: _Forwarding
    begins: float  # nothing is sent before
    under_way: deque[tuple[float, bytes]] = field(default_factory=deque)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    size: int = 0
    free_at: float = 0.0

    async def send(self, piece: bytes) -> None:
        """Put a piece on the line, an empty one for its end; wait where the line is full."""
        now = asyncio.get_running_loop().time()
        self.free_at = max(now, self.begins, self.free_at) + self.forwarding.seconds_for(len(piece))
        async with self.changed:
            self.under_way.append((self.free_at + self.forwarding.round_trip / 2, piece))
            self.size += len(piece)
            self.changed.notify_all()
            await self.changed.wait_for(lambda: self.size <= self.forwarding.window)

    async def receive(self) -> bytes:
        """The next piece, when it is due."""
        async with self.changed:
            await self.changed.wait_for(lambda: self.under_way)
        due, piece = self.under_way[0]
        if (left := due - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(left)
        async with self.changed:
            self.under_way.popleft()
            self.size -= len(piece)
            self.changed.notify_all()
        return piece


async def _forward(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, way: _Way, count: Callable[[], None]
) -> None:
    async def read() -> None:
        while piece := await source.read(READ_BYTES):
            count()
            await way.send(piece)
        await way.send(b"")

    async def write() -> None:
        while piece := await way.receive():
            target.write(piece)
            await target.drain()
        target.write_eof()

    await asyncio.gather(read(), write())


if __name__ == "__main__":
    _port, _round_trip, _bytes_per_second = sys.argv[1:]
    asyncio.run(_Forwarding(int(_port), float(_round_trip), float(_bytes_per_second)).run())
