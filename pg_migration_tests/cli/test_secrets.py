"""A password that was not percent-encoded: no program prints or stores a piece of it, whichever side it is of."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pg_migration_tests.cli.conftest import Ended, Terminal

LEAST = 4


def pieces(password: str) -> set[str]:
    return {password[n : n + LEAST] for n in range(len(password) - LEAST + 1)}


def assert_untold(home: Path, password: str, *ended: Ended) -> None:
    told = [text.encode() for end in ended for text in (end.output, end.errors)]
    stored = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    names = [str(path.relative_to(home)).encode() for path in home.rglob("*")]
    for piece in pieces(password):
        assert not [text for text in (*told, *stored, *names) if piece.encode() in text], piece


@pytest.mark.parametrize(
    ("source", "target"),
    # libpq reads the one as port and database, the other as host and database.
    [("Zk3x/9xQ7secretTail", "Wm5y@8vR6hiddenEnds"), ("Zk3x@9xQ7secretTail", "Wm5y/8vR6hiddenEnds")],
    ids=["slash and at", "at and slash"],
)
def test_nothing_of_it_is_told(shared_terminal: Terminal, tmp_path: Path, source: str, target: str) -> None:
    shutil.copy(shared_terminal.home / "dagster.yaml", tmp_path)
    terminal = replace(shared_terminal, home=tmp_path)
    variables = {
        "PG_MIGRATION_SOURCE_URL": f"postgresql://postgres:{source}@127.0.0.1:5432/shop",
        "PG_MIGRATION_TARGET_URL": f"postgresql://postgres:{target}@127.0.0.1:5432/shop",
    }
    run = terminal.command("run", **variables)
    job = terminal.execute("migrate", **variables, PG_MIGRATION_REPORTS=str(terminal.home / "reports"))
    assert (run.status, job.status) == (2, 1)
    assert "PG_MIGRATION_SOURCE_URL" in run.errors
    assert "PG_MIGRATION_SOURCE_URL can't be used" in job.output
    assert list((terminal.home / "reports").rglob("report.json")), "the run of `dagster job execute` is recorded"
    for password in (source, target):
        assert_untold(terminal.home, password, run, job)
