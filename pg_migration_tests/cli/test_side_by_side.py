"""Several pairs at once: how many, which of them wait for each other, and what is told of them."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pg_migration import Pair
from pg_migration.cli import side_by_side
from pg_migration.cli.results import Outcome, as_json, status_of_all, table

SECONDS = 0.25


@dataclass
class Process:
    """One that does nothing for a moment and leaves a report; a pair called bad is refused."""

    args: tuple[Any, ...]
    others: "list[Process]"
    began: float | None = None
    beside: set[str] = field(default_factory=set)
    pid: int | None = None

    @property
    def name(self) -> str:
        return str(self.args[1].name)

    @property
    def config(self) -> Any:
        return self.args[2]["resources"]["migration"]["config"]

    @property
    def exitcode(self) -> int | None:
        if self.began is None or time.monotonic() - self.began < SECONDS:
            return None
        return 2 if self.name == "bad" else 0

    def start(self) -> None:
        self.began = time.monotonic()
        self.beside = {
            other.name for other in self.others if other is not self and other.began and other.exitcode is None
        }
        out, err = map(Path, self.args[4:6])
        if self.name == "bad":
            err.write_text("Traceback\nError: it can't\nbe done\n")
        else:
            out.write_text(json.dumps({"failures": [], "tables": [{"state": "copied", "rows": 7, "bytes": 9}]}))


@dataclass
class Context:
    """As `multiprocessing` has them."""

    made: list[Process] = field(default_factory=list)

    def set_forkserver_preload(self, _: list[str]) -> None:
        return

    def Process(self, target: object, args: tuple[Any, ...]) -> Process:  # noqa: N802
        assert target is not None
        self.made.append(Process(args, self.made))
        return self.made[-1]


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> Context:
    made = Context()
    monkeypatch.setattr(side_by_side.multiprocessing, "get_context", lambda _: made)
    monkeypatch.setenv("OLD", "postgresql://reader@old/all")
    for database in ("one", "two", "three"):
        monkeypatch.setenv(database.upper(), f"postgresql://mig@new/{database}")
    return made


def pairs(**targets: str) -> list[Pair]:
    return [Pair(name=name, source="OLD", target=target, defaults={"workers": 4}) for name, target in targets.items()]


def test_pairs_with_one_target_wait_for_each_other(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "_free", lambda _: 100)
    chosen = pairs(first="ONE", second="ONE", bad="TWO", last="THREE")
    found = side_by_side.run_all(
        "migrate", chosen, {"resources": {"migration": {"config": {"chunk_size": 5}}}}, False, 3
    )
    assert [(one.pair, one.status) for one in found] == [("first", 0), ("second", 0), ("bad", 2), ("last", 0)]
    assert found[2].message == "Traceback Error: it can't be done"
    began = {process.name: process for process in context.made}
    assert began["last"].beside == {"first", "bad"}
    assert "first" not in began["second"].beside
    assert all(process.config == {"chunk_size": 5, "workers": 4} for process in context.made)


@pytest.mark.parametrize(
    ("free", "asked", "at_once", "most", "workers"),
    [
        (100, None, None, 3, 4),
        (100, None, 1, 1, 4),
        (100, 9, 2, 2, 9),
        (14, None, None, 3, 1),
        (9, None, None, 2, 1),
        (5, None, None, 1, 2),
        (None, None, None, 3, 4),
    ],
)
def test_no_server_gets_more_connections_than_it_has(
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
    free: int | None,
    asked: int | None,
    at_once: int | None,
    most: int,
    workers: int,
) -> None:
    monkeypatch.setattr(side_by_side, "_free", lambda _: free)
    config = {} if asked is None else {"resources": {"migration": {"config": {"workers": asked}}}}
    side_by_side.run_all("migrate", pairs(a="ONE", b="TWO", c="THREE"), config, False, at_once)
    assert 1 + max(len(process.beside) for process in context.made) == most
    assert {process.config["workers"] for process in context.made} == {workers}


GOOD = {"failures": [], "tables": [{"state": "copied", "rows": 1234, "bytes": 2048}], "checks": [{"passed": True}]}
BAD = {"failures": ["no\nrows"], "tables": [], "checks": [{"passed": False}], "findings": [{"severity": "warning"}]}


@pytest.mark.parametrize(
    ("statuses", "status"), [((0, 0), 0), ((0, 1), 1), ((0, 2), 1), ((0, 130), 130), ((1, 130), 130)]
)
def test_the_status_is_that_of_success_only_where_all_have_it(statuses: tuple[int, int], status: int) -> None:
    outcomes = [Outcome(str(number), one, None, None, 1.0) for number, one in enumerate(statuses)]
    assert status_of_all(outcomes) == status
    assert json.loads(as_json(outcomes))["succeeded"] == (status == 0)


def test_one_table_tells_of_all() -> None:
    good, bad = Outcome("shop", 0, GOOD, None, 61.0), Outcome("crm", 1, BAD, None, 2.0)
    lines = table("migrate", [good, bad, Outcome("wiki", 2, None, "x" * 200, None)]).splitlines()
    assert lines[0].split() == ["pair", "result", "tables", "rows", "size", "checks", "passed", "time", "why"]
    assert lines[2].split()[:9] == ["shop", "succeeded", "1", "1,234", "2.0", "KiB", "1", "of", "1"]
    assert lines[3].split()[:2] == ["crm", "FAILED"]
    assert lines[3].endswith("no\\nrows")
    assert lines[4].endswith("x" * 100 + "...")
    assert lines[-1] == "migrate: 1 of 3 pairs succeeded"
    assert table("preflight", [good]).splitlines()[0].split() == ["pair", "result", "warnings", "time"]
