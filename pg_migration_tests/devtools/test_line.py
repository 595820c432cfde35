"""The line that tests and the benchmark put between a client and a server."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pg_migration.devtools.line import Line
from pg_migration.devtools.servers import HOST


@contextmanager
def echo() -> Iterator[int]:
    """A server that answers each line with the line, in two pieces; its port."""

    def serve(client: socket.socket) -> None:
        with client, client.makefile("rb") as lines:
            for line in lines:
                client.sendall(line[:1])
                client.sendall(line[1:])

    def accept() -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=[client], daemon=True).start()

    with socket.create_server((HOST, 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def ask(port: int, *questions: bytes) -> list[bytes]:
    with socket.create_connection((HOST, port)) as client, client.makefile("rb") as answers:
        found = []
        for question in questions:
            client.sendall(question + b"\n")
            found.append(answers.readline())
        client.shutdown(socket.SHUT_WR)
        assert answers.read() == b""
        return found


def test_questions_with_their_answers_are_counted() -> None:
    with echo() as server, Line(server) as line:
        assert ask(line.port, b"one", b"two") == [b"one\n", b"two\n"]
        assert ask(line.port, b"three") == [b"three\n"]
        assert line.counted() == (2, 3)


def test_each_round_trip_takes_its_time() -> None:
    with echo() as server, Line(server, round_trip=0.1) as line:
        begun = time.monotonic()
        ask(line.port, b"one", b"two")
        assert time.monotonic() - begun >= 0.3  # to connect takes one, too


def test_bytes_take_their_time_and_arrive() -> None:
    sent = b"x" * 300_000
    with echo() as server, Line(server, bytes_per_second=1e6) as line:
        begun = time.monotonic()
        assert ask(line.port, sent) == [sent + b"\n"]
        assert time.monotonic() - begun >= 0.3  # each way; the pieces overlap


def test_a_server_that_is_away_ends_the_connection() -> None:
    with echo() as server:
        pass
    with Line(server) as line, socket.create_connection((HOST, line.port)) as client:
        assert client.recv(1) == b""
