"""The data path: the bytes of one COPY into the other, through a pipe of bounded size.

No value is ever decoded here. Both ends run in C (libpq and the kernel); Python sees buffers only.
"""

import fcntl
import io
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog.source_rows import may_show_values, said_discreetly
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.errors import CopyFailed, CopyMismatch, server_message
from pg_migration.postgres.transfer.streams.wide_row_copy import WideCopyFailed, copy_wide_rows

PIPE_BYTES = 1 << 20


@dataclass(frozen=True)
class Copied:
    """What one COPY moved: rows as both servers counted them, bytes on the wire, wall seconds."""

    rows: int
    bytes: int
    seconds: float


class _CountingReader(io.RawIOBase):
    """The reading end of the pipe, which tells how many bytes have passed."""

    def __init__(self, descriptor: int, on_bytes: Callable[[int], None]) -> None:
        self._descriptor = descriptor
        self._on_bytes = on_bytes
        self.total = 0

    def read(self, size: int = -1) -> bytes:
        data = os.read(self._descriptor, size if size > 0 else PIPE_BYTES)
        self.total += len(data)
        self._on_bytes(len(data))
        return data


class _Sender(threading.Thread):
    """Runs COPY TO STDOUT into the pipe, and remembers how that ended."""

    def __init__(self, connection: Connection, statement: sql.Composable, descriptor: int, wide: bool) -> None:
        super().__init__(name="pg_migration COPY TO", daemon=True)
        self._connection = connection
        self._statement = statement
        self._descriptor = descriptor
        self._copy = self._wide_rows if wide else self._rows
        self.rows = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        pipe = os.fdopen(self._descriptor, "wb", buffering=PIPE_BYTES)
        try:
            self.rows = self._copy(pipe)
            pipe.flush()
        except BaseException as error:  # handed to the receiving thread, which decides; set before the pipe ends
            self.error = error
        finally:
            with suppress(OSError):
                pipe.close()

    def _rows(self, pipe: BinaryIO) -> int:
        with self._connection.cursor() as cursor:
            cursor.copy_expert(self._statement, pipe)
            return cursor.rowcount

    def _wide_rows(self, pipe: BinaryIO) -> int:
        return copy_wide_rows(self._connection, self._statement, pipe.fileno())


def stream(
    source: Connection,
    copy_out: sql.Composable,
    target: Connection,
    copy_in: sql.Composable,
    on_bytes: Callable[[int], None],
    wide: bool = False,
    stored: bool = True,
    discreet: bool = False,
) -> Copied:
    """Stream one COPY TO STDOUT into one COPY FROM STDIN inside the transactions that are open on the two connections.

    The caller commits; nothing is committed here, so that a source that fails half-way, which the target sees as an
    ordinary end of data, can't leave a truncated copy.

    Args:
        on_bytes: called with the size of every buffer that passes, from this thread.
        wide: rows may have many megabytes each, so that memory counts for more than speed.
        stored: whether the target stores every row, and so counts it; a trigger may make something else of rows.
        discreet: the source's messages may show what is not to leave it, so they are not repeated.

    Raises:
        CopyFailed: what either server said; where both did, the source's error, of which the target's is the echo.
        CopyMismatch: when the servers counted different numbers of rows.
    """
    started = time.monotonic()
    read_end, write_end = os.pipe()
    # Other systems have no such call, and /proc/sys/fs/pipe-max-size may be lower: slower, not wrong.
    with suppress(AttributeError, OSError):
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    sender = _Sender(source, copy_out, write_end, wide)
    sender.start()
    reader = _CountingReader(read_end, on_bytes)
    try:
        with target.cursor() as cursor:
            cursor.copy_expert(copy_in, reader, size=PIPE_BYTES)
            received = cursor.rowcount
    except psycopg2.Error as error:
        if sender.error is not None:
            raise _failure(Side.SOURCE, sender.error, discreet) from _cause(sender.error, discreet)
        _stop(source)
        raise _failure(Side.TARGET, error) from error
    finally:
        os.close(read_end)  # a sender that is still writing gets EPIPE instead of waiting for ever
        sender.join()
    if sender.error is not None:
        raise _failure(Side.SOURCE, sender.error, discreet) from _cause(sender.error, discreet)
    if stored and sender.rows != received:
        raise CopyMismatch(f"the source sent {sender.rows} rows, the target stored {received}")
    return Copied(sender.rows, reader.total, time.monotonic() - started)


def _stop(connection: Connection) -> None:
    with suppress(psycopg2.Error):  # the backend may be gone already
        connection.cancel()


def _failure(side: Side, error: BaseException, discreet: bool = False) -> CopyFailed:
    told = said_discreetly(error) if discreet and _may_show_values(error) else server_message(error)
    return CopyFailed(f"on the {side.value}: {told}")


def _cause(error: BaseException, discreet: bool) -> BaseException | None:
    """What a failure comes from, for those who show that as well."""
    return None if discreet and _may_show_values(error) else error


def _may_show_values(error: BaseException) -> bool:
    return isinstance(error, WideCopyFailed) or may_show_values(error)
