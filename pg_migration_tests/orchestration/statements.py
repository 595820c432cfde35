"""What Dagster's storages ask of their databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa


@contextmanager
def counting() -> Iterator[list[str]]:
    """The statements of SQLAlchemy's connections, and each time that one was opened."""
    counted: list[str] = []

    def executed(*told: Any) -> None:
        counted.append(told[2])

    def connected(*_: Any) -> None:
        counted.append("CONNECT")

    sa.event.listen(sa.Engine, "before_cursor_execute", executed)
    sa.event.listen(sa.pool.Pool, "connect", connected)
    try:
        yield counted
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", executed)
        sa.event.remove(sa.pool.Pool, "connect", connected)
