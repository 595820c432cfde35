"""A line between a client and a server that takes time, has a width, and counts round trips.

It understands nothing of what it forwards: a round trip is whatever a client sends until the server answers.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from pg_migration.devtools.servers import HOST

# What one call reads, and what of one direction of a connection may be under way beside what the line holds by itself.
READ_BYTES = 256 * 1024
START_SECONDS = 30.0


@dataclass
class _Direction:
    """What goes one way on one connection: read, and under way until it is due."""

    line: "Line"
    begins: float  # nothing is sent before
    under_way: deque[tuple[float, bytes]] = field(default_factory=deque)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    size: int = 0
    free_at: float = 0.0

    async def send(self, piece: bytes) -> None:
        """Put a piece on the line, an empty one for its end; wait where the line is full."""
        now = asyncio.get_running_loop().time()
        self.free_at = max(now, self.begins, self.free_at) + self.line.seconds_for(len(piece))
        async with self.changed:
            self.under_way.append((self.free_at + self.line.round_trip / 2, piece))
            self.size += len(piece)
            self.changed.notify_all()
            await self.changed.wait_for(lambda: self.size <= self.line.window)

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


@dataclass
class _Conversation:
    """Who spoke last on one connection."""

    line: "Line"
    asked: bool = False

    def ask(self) -> None:
        self.asked = True

    def answer(self) -> None:
        self.line.round_trips += self.asked
        self.asked = False


class Line:
    """A TCP port of this machine that leads to another one; used in a ``with`` block, in any number of threads.

    Attributes:
        port: where to connect instead.
        round_trips: how often a client has sent something and the server has then answered, on all connections; the
            first ones of each connect, negotiate and authenticate.
        connections: how many were made, requests to cancel among them.
    """

    def __init__(self, port: int, round_trip: float = 0.0, bytes_per_second: float | None = None) -> None:
        """
        Args:
            port: of the server, on this machine.
            round_trip: seconds from a question to its answer, half of them for each way.
            bytes_per_second: of each connection, each way; None for no limit.
        """
        self._server = port
        self.round_trip, self._bytes_per_second = round_trip, bytes_per_second
        self.port = self.round_trips = self.connections = 0
        self._ready, self._end = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="line", daemon=True)
        self._loop: asyncio.AbstractEventLoop

    def __enter__(self) -> "Line":
        self._thread.start()
        if not self._ready.wait(START_SECONDS):
            raise TimeoutError("the line did not open its port")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def seconds_for(self, size: int) -> float:
        """How long so many bytes take to be sent."""
        return size / self._bytes_per_second if self._bytes_per_second else 0.0

    @property
    def window(self) -> float:
        """How many bytes may be under way in one direction of a connection."""
        return READ_BYTES + self.round_trip * (self._bytes_per_second or 1e9)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        connected: set[asyncio.Task[None]] = set()

        def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._connection(reader, writer))
            connected.add(task)
            task.add_done_callback(connected.discard)

        listening = await asyncio.start_server(connect, HOST, 0)
        self.port = listening.sockets[0].getsockname()[1]
        self._ready.set()
        await self._end.wait()
        listening.close()
        for task in list(connected):
            task.cancel()
        await asyncio.gather(*connected, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        begins = asyncio.get_running_loop().time() + self.round_trip  # to connect is a round trip of its own
        try:
            from_server, to_server = await asyncio.open_connection(HOST, self._server)
        except OSError:
            writer.close()
            return
        conversation = _Conversation(self)
        ways = (
            self._forward(reader, to_server, _Direction(self, begins), conversation.ask),
            self._forward(from_server, writer, _Direction(self, begins), conversation.answer),
        )
        try:
            await asyncio.gather(*ways)
        except OSError:
            pass  # one end is gone, which the other one is told
        finally:
            writer.close()
            to_server.close()

    @staticmethod
    async def _forward(
        source: asyncio.StreamReader, target: asyncio.StreamWriter, way: _Direction, count: Callable[[], None]
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
