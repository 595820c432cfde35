"""`pg_migration run` where there are rows in the target that it has not loaded: it asks whoever sits at a terminal."""

import os
import pty
import subprocess
from types import SimpleNamespace

import pytest

from pg_migration import Pair
from pg_migration.cli import consent
from pg_migration_tests.cli.conftest import Terminal

ROWS = """
CREATE TABLE orders (id bigint PRIMARY KEY, customer integer NOT NULL, placed date);
INSERT INTO orders VALUES (1, 1)
"""
COUNT = "SELECT count(*) FROM orders"


def at_a_terminal(terminal: Terminal, answer: bytes) -> tuple[int, str]:
    """Run the command, type an answer; its status, and what it showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [terminal.programs / "pg_migration", "run", "--exclude-tables", "customers"],
        cwd=terminal.home,
        env=terminal.environment(PG_MIGRATION_REPORTS="off"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if answer and b"[y/N]" in shown:
            os.write(ours, answer)
            answer = b""
    os.close(ours)
    return process.wait(), shown.decode()


@pytest.fixture(scope="module")
def terminal(shared_terminal: Terminal) -> Terminal:
    """With a row in the target; who says no leaves it there for the next."""
    shared_terminal.target.psql(ROWS)
    return shared_terminal


@pytest.mark.longer
def test_nobody_is_asked_where_nobody_is(terminal: Terminal) -> None:
    """Another test sees that `--overwrite` overwrites there."""
    done = terminal.command("run", "--exclude-tables", "customers", PG_MIGRATION_REPORTS="off")
    assert done.status == 1
    assert "public.orders (1 row)" in done.output
    assert terminal.target.psql(COUNT) == "1"


def test_nobody_is_asked_who_has_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = SimpleNamespace(isatty=lambda: True)
    monkeypatch.setattr(consent, "sys", SimpleNamespace(stdin=terminal, stdout=terminal))
    monkeypatch.setattr(consent, "MigrationRun", lambda *_, **__: pytest.fail("the target was looked at"))
    for pair in (Pair(source="A", target="B"), Pair(name="shop", source="A", target="B")):
        told = {"resources": {pair.resource: {"config": consent.OVERWRITE}}}
        assert consent.with_consent(pair, told) is told
        with pytest.raises(pytest.fail.Exception):
            consent.with_consent(pair, {})
    always = Pair(source="A", target="B", defaults=consent.OVERWRITE)
    assert consent.with_consent(always, {}) == {}


@pytest.mark.parametrize(("answer", "status", "rows"), [(b"\n", 1, "1"), (b"no\n", 1, "1"), (b"y\n", 0, "4000")])
def test_somebody_is_asked(terminal: Terminal, answer: bytes, status: int, rows: str) -> None:
    before = terminal.target.dump()
    ended, shown = at_a_terminal(terminal, answer)
    assert ended == status, shown
    assert "public.orders (1 row): the bookkeeping does not know them" in shown
    assert terminal.target.psql(COUNT) == rows
    assert (terminal.target.dump() == before) == (status == 1)
