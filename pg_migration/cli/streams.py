"""Standard output and standard error of a command: what can't be written there never decides how the command ends."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def harmless() -> Iterator[None]:
    """Give a program the streams that it was started without, and let it end as it wants to, written or not.

    A number that is free would be given to the next file that is opened, Dagster's records for example, and whoever
    writes to standard error would write there. And Python ends with a status of its own when what is left can't be
    written.
    """
    for name in ("stdin", "stdout", "stderr"):  # in the order of their numbers: each takes the lowest that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115, PTH123
    try:
        yield
    finally:
        _finish(sys.stdout)
        _finish(sys.stderr)


def put(text: str) -> None:
    """Write to standard output, in its encoding, what can't be encoded as escapes; or say why that can't be done."""
    try:
        if getattr(sys.stdout, "name", None) == os.devnull:
            raise OSError("it is closed")
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        _discard(sys.stdout)
        try:
            sys.stderr.write(f"standard output can't be written: {error}\n")
        except (OSError, ValueError):
            return


def tell(line: str) -> None:
    """Write a line to standard error, if that can be done."""
    try:
        encoding = sys.stderr.encoding or "utf-8"
        sys.stderr.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        return


class Forgiving(io.TextIOWrapper):
    """Drops what can't be written."""

    def write(self, text: str) -> int:
        """Write a text, or part of it, or nothing."""
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        """Write what is left, or drop it."""
        try:
            super().flush()
        except OSError:
            _discard(self)


def _finish(stream: TextIO) -> None:
    try:
        stream.flush()
    except (OSError, ValueError):
        _discard(stream)


def _discard(stream: TextIO) -> None:
    """Let a stream write to nowhere from now on, also what it still holds."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
        stream.flush()
    except (OSError, ValueError):
        return
