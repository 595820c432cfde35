"""What can't be printed or filed changes neither what a run does nor how the command ends."""

import json
import os
import pwd
import re
import signal
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import psycopg2
import pytest
from click.testing import CliRunner
from sqlalchemy.exc import OperationalError

from pg_migration.cli.commands import main
from pg_migration.orchestration import environment
from pg_migration.orchestration.location import code_location
from pg_migration.orchestration.storage.event_log import KeptSqliteEventLog
from pg_migration.postgres.connection.statements import execute
from pg_migration_tests.cli.conftest import Ended, Terminal

ROWS = "SELECT * FROM orders ORDER BY id"
NAME = '"日本 é \U0001f600"'
ASCII_ONLY = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
PATIENCE_SECONDS = 600
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")


def shell(terminal: Terminal, command: str, **variables: str) -> Ended:
    """A line typed in a shell, `pg_migration` being the command."""
    inherited = {
        **terminal.environment(PG_MIGRATION_REPORTS=""),
        "PATH": f"{terminal.programs}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=terminal.home,
        env={**inherited, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return Ended(done.returncode, done.stdout.decode("ascii", "replace"), done.stderr.decode("utf-8", "replace"))


def assert_copied(terminal: Terminal) -> None:
    assert terminal.target.psql(ROWS) == terminal.source.psql(ROWS)


@dataclass(frozen=True)
class Copied:
    """A migration that left a report, and what it printed."""

    terminal: Terminal
    ended: Ended

    @property
    def run(self) -> str:
        return Path(self.ended.output.splitlines()[-1]).parent.name


@pytest.fixture(scope="module")
def copied(shared_terminal: Terminal) -> Copied:
    """With a name that few terminals have the letters for, on one that has not."""
    shared_terminal.source.psql(f"CREATE TABLE {NAME} (i int); INSERT INTO {NAME} VALUES (1)")
    done = shell(shared_terminal, "pg_migration run", **ASCII_ONLY)
    assert done.status == 0, done.errors
    return Copied(shared_terminal, done)


@pytest.mark.longer
def test_a_terminal_that_has_not_all_letters(copied: Copied) -> None:
    terminal = copied.terminal
    assert r"\u65e5\u672c \xe9" in copied.ended.output
    for command in (f"pg_migration report {copied.run}", "pg_migration compare"):
        assert shell(terminal, command, **ASCII_ONLY).status == 0
    told = json.loads(shell(terminal, f"pg_migration report {copied.run} --json", **ASCII_ONLY).output)
    assert NAME.strip('"') in {table["name"] for table in told["tables"]}


UNTOLD = ""
FULL_OUTPUT = pytest.param(">/dev/full", "standard output can't be written", marks=FULL)
FULL_ERRORS = pytest.param("2>/dev/full", UNTOLD, marks=FULL)
ALL_CLOSED = ("<&- >&- 2>&-", UNTOLD)


def assert_told(redirection: str, told: str, outcome: str, ended: Ended) -> None:
    """It ended well, and the stream that can be written has what is to be known of it."""
    assert ended.status == 0, ended.errors
    assert told in ended.errors
    assert "Traceback" not in ended.errors
    if redirection.startswith("2"):
        assert outcome in ended.output


@pytest.mark.parametrize(
    ("redirection", "told"),
    [
        pytest.param(">/dev/full", "standard output can't be written", marks=[FULL, pytest.mark.longer]),
        pytest.param("2>/dev/full", UNTOLD, marks=[FULL, pytest.mark.longer]),
        ALL_CLOSED,
    ],
)
def test_a_run_whose_streams_can_not_be_written(copied: Copied, redirection: str, told: str) -> None:
    terminal = copied.terminal
    terminal.target.psql("DROP TABLE IF EXISTS customers, orders; DROP SCHEMA IF EXISTS _pg_migration CASCADE")
    # Files of a report may get the numbers of streams that are closed.
    reports = "" if redirection.startswith("<") else "off"
    # To overwrite, as nobody is asked here: the bookkeeping that knew the third table is gone.
    done = shell(terminal, f"pg_migration run --overwrite {redirection}", PG_MIGRATION_REPORTS=reports)
    assert_told(redirection, told, " succeeded", done)
    assert_copied(terminal)


@pytest.fixture(scope="module")
def differing(copied: Copied) -> Copied:
    """With an index in the target that the source has not."""
    copied.terminal.target.psql("CREATE INDEX mine ON orders (id)")
    return copied


@pytest.mark.parametrize(
    ("redirection", "told"),
    [
        (">&-", "standard output can't be written: it is closed"),
        ("2>&-", UNTOLD),
        ALL_CLOSED,
        FULL_OUTPUT,
        FULL_ERRORS,
    ],
)
def test_a_stream_that_can_not_be_written(differing: Copied, redirection: str, told: str) -> None:
    terminal = differing.terminal
    shown = shell(terminal, f"pg_migration report {differing.run} {redirection}")
    assert_told(redirection, told, "migrate succeeded", shown)
    # What is wrong is still an error, whoever hears of it.
    assert shell(terminal, f"pg_migration compare {redirection}", PG_MIGRATION_SOURCE_URL="nonsense").status == 2
    assert shell(terminal, f"pg_migration compare {redirection}").status == 1


@pytest.mark.longer
def test_neither_a_home_nor_reports_can_be_written(terminal: Terminal) -> None:
    """Dagster would count in the home how its commands are used, unless told otherwise."""
    (terminal.home / "dagster.yaml").unlink()
    (terminal.home / "file").write_text("no folder")
    out_of_reach = {"HOME": "/proc", "PG_MIGRATION_REPORTS": f"{terminal.home}/file"}
    planned = shell(terminal, "pg_migration plan --json", **out_of_reach)
    assert planned.status == 0, planned.errors
    told = json.loads(planned.output)
    assert told["succeeded"]
    assert {table["table"] for table in told["plan"]["tables"]} == {"public.customers", "public.orders"}
    assert told["notes"][-1].startswith("the report could not be written")
    done = shell(terminal, "pg_migration run", **out_of_reach)
    assert done.status == 0, done.errors
    assert_copied(terminal)
    assert "migrate succeeded" in done.output
    assert "note: the report could not be written: [Errno 20] Not a directory" in done.output
    assert "\nreport: " not in done.output


def test_a_user_without_a_home(
    shared_terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name, value in shared_terminal.environment(PG_MIGRATION_REPORTS="").items():
        monkeypatch.setenv(name, value)
    for name in ("HOME", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)

    def nobody(_: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    done = CliRunner().invoke(main, ["run"])
    assert done.exit_code == 2
    (line,) = (line for line in done.output.splitlines() if line.startswith("Error: "))
    assert "set DAGSTER_HOME to a folder" in line
    assert "Traceback" not in done.output
    assert CliRunner().invoke(main, ["report"]).exit_code == 2
    assert code_location.load(environment.pair()).problem is None


def test_records_that_can_not_be_written(shared_terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = shared_terminal
    for name, value in terminal.environment(PG_MIGRATION_REPORTS="").items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(terminal.home)

    def full(*_: object, **__: object) -> None:
        raise OperationalError("INSERT INTO event_logs", {}, Exception("database or disk is full"))

    monkeypatch.setattr(KeptSqliteEventLog, "store_event", full)
    monkeypatch.setattr(KeptSqliteEventLog, "store_event_batch", full)
    done = CliRunner().invoke(main, ["run"])
    assert done.exit_code == 1
    last = done.output.splitlines()[-1]
    assert last.startswith("Error: Dagster's records can't be written: database or disk is full. ")
    assert str(terminal.home) in last
    assert "INSERT" not in last
    assert "Traceback" not in last


@pytest.mark.longer
def test_interrupted(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """By Ctrl-C, while it waits for a table that somebody has locked."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pg_migration%' AND wait_event_type = 'Lock'"
    )
    with closing(psycopg2.connect(terminal.target.url)) as locker:
        execute(locker, "CREATE TABLE orders (id int PRIMARY KEY)")
        locker.commit()
        execute(locker, "LOCK TABLE orders")
        child = subprocess.Popen(
            [terminal.programs / "pg_migration", "run"],
            cwd=terminal.home,
            env=terminal.environment(PG_MIGRATION_REPORTS=""),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while terminal.target.psql(waiting).strip() == "0":
            assert child.poll() is None, child.communicate()
            time.sleep(0.1)
        child.send_signal(signal.SIGINT)
        output, errors = child.communicate(timeout=PATIENCE_SECONDS)
    assert child.returncode == 130
    assert (
        output == "stopped before a row was copied. What is there stays; the next `pg_migration run` goes on from it.\n"
    )
    assert not re.search(r"Traceback|Interrupt|FAILED|passed", errors), errors
    monkeypatch.setenv("DAGSTER_HOME", str(terminal.home))
    with dg.DagsterInstance.get() as instance:
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.CANCELED]
