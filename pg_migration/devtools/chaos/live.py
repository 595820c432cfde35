"""``python -m pg_migration.devtools.chaos live``: let accidents happen to live moves while writers write all the time.

What is killed, at any moment, is the process of a command. Then the next command has to find and take away what was
left in the source, or go on from it, until the target has taken over. Every write that a server has acknowledged is
there afterwards, once, and nothing of ours is in the source.
"""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.devtools.chaos.stage import prepare
from pg_migration.devtools.servers import Server, demolish
from pg_migration.postgres.connection.statements import execute, fetch

SETTINGS = {"fsync": "off", "max_wal_size": "2GB", "max_connections": "60", "wal_level": "logical"}
# Set by ALTER SYSTEM, as it changes; without it nobody may follow who has no daemon.
KEEP_SIZE = "4GB"
DATABASE = "chaos"
WRITERS = 3
COMMAND_SECONDS = 300
PATIENCE_SECONDS = 120
ATTEMPTS = 4
DOWN_SECONDS = 60
LAST_CHARACTERS = 4000

DATA = """
CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL);
CREATE TABLE movement (id bigserial PRIMARY KEY, writer int NOT NULL, number int NOT NULL,
    account int NOT NULL REFERENCES account);
CREATE TABLE ledger (writer int, number int, at timestamptz DEFAULT now());  -- without a key
CREATE TABLE reading (id bigint, at date, value text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE reading_old PARTITION OF reading FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
CREATE TABLE reading_new PARTITION OF reading FOR VALUES FROM ('2024-01-01') TO (MAXVALUE);
CREATE MATERIALIZED VIEW busy AS SELECT account, count(*) FROM movement GROUP BY 1;
CREATE SEQUENCE ticket;
INSERT INTO account SELECT i, 0 FROM generate_series(1, 5000) i;
INSERT INTO reading SELECT i, '2023-07-01'::date + i % 365, md5(i::text)
    FROM generate_series(1, ({scale} * 300000)::int) i;
"""
# One transaction of a writer; the balance of an account is the number of its movements.
WRITES = (
    "INSERT INTO movement (writer, number, account) VALUES (%(writer)s, %(number)s, %(account)s)",
    "INSERT INTO ledger (writer, number) VALUES (%(writer)s, %(number)s)",
    "UPDATE account SET balance = balance + 1 WHERE id = %(account)s",
    "UPDATE reading SET value = %(number)s WHERE id = %(account)s",
    "SELECT nextval('ticket')",
)
UNBALANCED = """
SELECT a.id FROM account a LEFT JOIN (SELECT account, count(*) AS n FROM movement GROUP BY 1) AS m ON m.account = a.id
WHERE a.balance <> coalesce(m.n, 0)
"""
LEFT = """
SELECT 'slot ' || slot_name FROM pg_replication_slots WHERE database = current_database()
UNION ALL SELECT 'publication ' || pubname FROM pg_publication
UNION ALL SELECT 'subscription ' || subname FROM pg_subscription
    WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
UNION ALL SELECT 'identity of ' || relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND relreplident <> 'd'
"""
PHASE = "SELECT phase FROM _pg_migration.replication ORDER BY begun_at DESC LIMIT 1"
OURS = "datname = current_database() AND application_name LIKE 'pg_migration%'"


@dataclass
class Writer:
    """Writes all the time to whichever server is the one to write to, and knows what that has acknowledged.

    ``uncertain`` are writes whose commit was not answered: each may be there, once.
    """

    number: int
    url: Callable[[], str]
    acknowledged: set[int] = field(default_factory=set)
    uncertain: set[int] = field(default_factory=set)
    longest_pause: float = 0.0

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it after the write that it is at."""
        self._stop.set()
        self._thread.join(PATIENCE_SECONDS)

    def _write(self) -> None:
        connection: Connection | None = None
        written, last = 0, time.monotonic()
        while not self._stop.is_set():
            committing = False
            try:
                if connection is None:
                    connection = psycopg2.connect(self.url(), application_name="writer", connect_timeout=5)
                written += 1
                values = {"writer": self.number, "number": written, "account": random.randint(1, 5000)}
                with connection.cursor() as cursor:
                    for statement in WRITES:
                        cursor.execute(statement, values)
                committing = True
                connection.commit()
                self.acknowledged.add(written)
                self.longest_pause = max(self.longest_pause, time.monotonic() - last)
                last = time.monotonic()
            except psycopg2.Error:
                if committing:
                    self.uncertain.add(written)
                if connection is not None:
                    with suppress(psycopg2.Error):
                        connection.close()
                connection = None
                time.sleep(0.05)
            time.sleep(0.002)


@dataclass
class Move:
    """Two servers, the database that moves, and the commands that move it."""

    source: Server
    target: Server
    folder: Path
    scale: float

    def __post_init__(self) -> None:
        # A server that is down has no address.
        self._urls = {server.folder: server.url(DATABASE) for server in (self.source, self.target)}

    @property
    def moved(self) -> Path:
        """A file that the cutover's command makes: writers go to the target from then on."""
        return self.folder / "moved"

    def url(self) -> str:
        """Of the database to write to."""
        return self._urls[(self.target if self.moved.exists() else self.source).folder]

    def connect(self, server: Server, database: str = DATABASE) -> Connection:
        """A session of somebody else."""
        connection = psycopg2.connect(server.url(database), application_name="chaos")
        connection.autocommit = True
        return connection

    def reset(self) -> None:
        """A filled source and an empty target."""
        self.moved.unlink(missing_ok=True)
        for server in (self.target, self.source):
            server.start()
            with closing(self.connect(server, "postgres")) as connection:
                found = fetch(connection, "SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
            if found:
                self._take_away(server)
            with closing(self.connect(server, "postgres")) as connection:
                for command in ("DROP DATABASE IF EXISTS {} WITH (FORCE)", "CREATE DATABASE {}"):
                    execute(connection, sql.SQL(command).format(sql.Identifier(DATABASE)))
        with closing(self.connect(self.source)) as connection:
            execute(connection, sql.SQL(DATA).format(scale=sql.Literal(self.scale)))

    def keep(self, size: str) -> None:
        """Have the source keep so much WAL for a slot at most."""
        with closing(self.connect(self.source, "postgres")) as connection:
            execute(connection, f"ALTER SYSTEM SET max_slot_wal_keep_size = '{size}'")
            fetch(connection, "SELECT pg_reload_conf()")

    def _take_away(self, server: Server) -> None:
        """What keeps a database from being dropped."""
        with closing(self.connect(server)) as connection:
            execute(connection, "SET default_transaction_read_only = off")
            for (name,) in fetch(connection, "SELECT subname FROM pg_subscription"):
                for change in ("ALTER SUBSCRIPTION {} DISABLE", "ALTER SUBSCRIPTION {} SET (slot_name = NONE)"):
                    execute(connection, sql.SQL(change).format(sql.Identifier(name)))
                execute(connection, sql.SQL("DROP SUBSCRIPTION {}").format(sql.Identifier(name)))
            for name, pid in fetch(connection, "SELECT slot_name, active_pid FROM pg_replication_slots"):
                if pid is not None:
                    fetch(connection, "SELECT pg_terminate_backend(%s, 10000)", (pid,))
                fetch(connection, "SELECT pg_drop_replication_slot(%s)", (name,))

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """A command, as a user gives it; its output goes to the file `log`."""
        (self.folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        with self.log.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "pg_migration", *arguments],
                env={
                    **os.environ,
                    "DAGSTER_HOME": str(self.folder),
                    "PG_MIGRATION_SOURCE_URL": self._urls[self.source.folder],
                    "PG_MIGRATION_TARGET_URL": self._urls[self.target.folder],
                    "PG_MIGRATION_ON_CUTOVER": f"rm -f '{self.moved}'; "
                    f"if [ $PG_MIGRATION_MOVED_TO = target ]; then touch '{self.moved}'; fi",
                    "PG_MIGRATION_REPORTS": "off",
                },
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )

    @property
    def log(self) -> Path:
        """What the last command printed."""
        return self.folder / "command.log"

    def run(self, *arguments: str) -> int:
        """A command to its end; its exit status."""
        return self.start(*arguments).wait(COMMAND_SECONDS)

    def said(self) -> str:
        """The end of what the last command printed, in one line."""
        return " ".join(self.log.read_text(errors="replace")[-LAST_CHARACTERS:].split())

    def phase(self) -> str:
        """How the replication stands, as the ledger has it."""
        with closing(self.connect(self.target)) as connection:
            try:
                found = fetch(connection, PHASE)
            except psycopg2.errors.UndefinedTable:
                return ""
        return str(found[0][0]) if found else ""

    def left(self, server: Server) -> set[str]:
        """What is there of ours, and of nobody else."""
        with closing(self.connect(server)) as connection:
            return {name for (name,) in fetch(connection, LEFT)}

    def is_read_only(self) -> bool:
        """Whether new sessions of the source are."""
        with closing(self.connect(self.source)) as connection:
            return fetch(connection, "SHOW default_transaction_read_only") == [("on",)]

    def follow(self) -> int:
        """The options of the command, with a table that has no key."""
        return self.run(*FOLLOW)


FOLLOW = ("follow", "--no-identity", "full", "--workers", "2", "--partition-threshold", "100000")
CUTOVER = ("cutover", "--check", "content")
GO_BACK = ("go-back", "--check", "content")


@dataclass
class Verdict:
    """What became of a move."""

    accident: str
    writes: int = 0
    pause: float = 0.0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    skipped: str = ""

    def __str__(self) -> str:
        verdict = "; ".join(self.problems) or (f"skipped: {self.skipped}" if self.skipped else "well")
        return f"| {self.accident} | {self.writes:,} | {self.pause:.1f} | {self.seconds:.0f} | {verdict} |"


class NotWell(Exception):
    """Something is not as it has to be; the move is given up."""


Happen = Callable[[Move, Verdict], None]


def kill_follow(seconds: float) -> Happen:
    """SIGKILL of the run that copies, at some moment; then whatever command comes next."""

    def happen(move: Move, verdict: Verdict) -> None:
        process = move.start(*FOLLOW)
        time.sleep(seconds)
        process.kill()
        process.wait()
        status = move.run(*random.choice((("lag",), ("abandon",), FOLLOW)))
        phase = move.phase()
        if phase == "following":
            return
        if left := move.left(move.source):
            verdict.problems.append(f"the next command (status {status}) has left {sorted(left)}: {move.said()}")

    return happen


def kill_cutover(seconds: float) -> Happen:
    """SIGKILL of a cutover, at some moment."""

    def happen(move: Move, verdict: Verdict) -> None:
        begin(move)
        process = move.start(*CUTOVER)
        time.sleep(seconds)
        process.kill()
        process.wait()
        move.run("lag")
        phase = move.phase()
        if phase not in ("following", "moved"):
            verdict.problems.append(f"after the next command it is {phase}: {move.said()}")
        elif phase == "following" and move.is_read_only():
            verdict.problems.append(f"new sessions of the source are read only: {move.said()}")

    return happen


def kill_go_back(seconds: float) -> Happen:
    """SIGKILL of a way back, at some moment; then it is gone to its end."""

    def happen(move: Move, verdict: Verdict) -> None:
        begin(move)
        if move.run(*CUTOVER, "--way-back"):
            raise NotWell(f"no cutover: {move.said()}")
        process = move.start(*GO_BACK)
        time.sleep(seconds)
        process.kill()
        process.wait()
        move.run("lag")
        if (phase := move.phase()) not in ("moved", "back"):
            verdict.problems.append(f"after the next command it is {phase}: {move.said()}")
        for _ in range(ATTEMPTS):
            if move.run(*GO_BACK) == 0 and move.phase() == "back":
                move.moved.unlink(missing_ok=True)
                return
        raise NotWell(f"the source does not take over again: {move.said()}")

    return happen


def begin(move: Move) -> None:
    """Have the target follow.

    Raises:
        NotWell: it does not.
    """
    if move.phase() == "following":
        return
    if move.follow() != 0:
        raise NotWell(f"the target does not follow: {move.said()}")


def target_dies(move: Move, verdict: Verdict) -> None:
    """The target is away for a minute, and catches up."""
    begin(move)
    move.target.stop("immediate")
    time.sleep(DOWN_SECONDS)
    if move.run("lag") == 0:
        verdict.problems.append(f"nothing was wrong while the target was down: {move.said()}")
    move.target.start()
    catch_up(move)


def source_restarts(move: Move, _verdict: Verdict) -> None:
    """The source crashes and comes back while the target follows."""
    begin(move)
    move.source.stop("immediate")
    time.sleep(2)
    move.source.start()
    catch_up(move)


def servers_restart_during_the_copy(move: Move, verdict: Verdict) -> None:
    """Both servers crash while rows are copied: the run fails, and leaves nothing."""
    for server in (move.source, move.target):
        process = move.start(*FOLLOW)
        wait_for_copy(move, process)
        server.stop("immediate")
        server.start()
        process.wait(COMMAND_SECONDS)
        move.run("lag")
        if move.phase() != "following" and (left := move.left(move.source)):
            verdict.problems.append(f"{sorted(left)} are left in the source: {move.said()}")
        move.run("abandon")


def wait_for_copy(move: Move, process: "subprocess.Popen[bytes]") -> None:
    """Wait until rows are on their way, or it is over."""
    query = f"SELECT 1 FROM pg_stat_activity WHERE {OURS} AND state = 'active' AND query LIKE 'COPY%'"
    with closing(move.connect(move.target)) as connection:
        while not fetch(connection, query) and process.poll() is None:
            time.sleep(0.005)


def slot_is_lost(move: Move, verdict: Verdict) -> None:
    """The target is away for longer than the source keeps WAL: it is told, and a new move begins."""
    begin(move)
    with limited(move, "64MB"):
        move.target.stop("immediate")
        with closing(move.connect(move.source)) as connection:
            execute(
                connection,
                "CREATE TABLE ballast AS SELECT i, repeat(md5(i::text), 30) FROM generate_series(1, 200000) i",
            )
            execute(connection, "DROP TABLE ballast")
            for _ in range(3):
                fetch(connection, "SELECT pg_switch_wal()")
                execute(connection, "CHECKPOINT")
            lost = fetch(connection, "SELECT wal_status FROM pg_replication_slots")
        if lost != [("lost",)]:
            verdict.skipped = f"the slot was not lost, but {lost}"
        move.target.start()
        if move.run("lag") == 0:
            verdict.problems.append(f"a lost slot is told as well: {move.said()}")
        if left := move.left(move.source) - {"identity of ledger"}:
            move.run("abandon")
            if left := move.left(move.source):
                verdict.problems.append(f"a lost slot leaves {sorted(left)}: {move.said()}")


def too_much_wal(move: Move, verdict: Verdict) -> None:
    """The target stands still, and the source keeps more for it than it may: the slot goes, and that is told."""
    if move.run(*FOLLOW, "--max-retained-wal", "48MB"):
        raise NotWell(f"the target does not follow: {move.said()}")
    with closing(move.connect(move.target)) as target, closing(move.connect(move.source)) as source:
        execute(target, "BEGIN")
        execute(target, "LOCK TABLE account IN ACCESS EXCLUSIVE MODE")
        execute(source, "CREATE TABLE ballast AS SELECT i, repeat(md5(i::text), 30) FROM generate_series(1, 100000) i")
        execute(source, "DROP TABLE ballast")
        status = move.run("lag")
        execute(target, "ROLLBACK")
    if status == 0 or move.phase() not in ("abandoned", "lost"):
        verdict.problems.append(f"status {status}, it is {move.phase()}: {move.said()}")
    if left := move.left(move.source):
        verdict.problems.append(f"{sorted(left)} are left in the source: {move.said()}")


@contextmanager
def limited(move: Move, size: str) -> Iterator[None]:
    """A source that keeps no more WAL for a slot than this."""
    move.keep(size)
    try:
        yield
    finally:
        move.keep(KEEP_SIZE)


def catch_up(move: Move) -> None:
    """Wait until the target is near the source again.

    Raises:
        NotWell: it does not come near.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if move.run("lag", "--json") == 0:
            found = json.loads(move.log.read_text())
            if (found.get("lag_seconds") or 0.0) < 5 and found["tables_ready"] == found["tables"]:
                return
        time.sleep(1)
    raise NotWell(f"the target does not catch up: {move.said()}")


def nothing(move: Move, verdict: Verdict) -> None:
    """No accident: a move, a way back, and a move again."""
    begin(move)
    if move.run(*CUTOVER, "--way-back"):
        raise NotWell(f"no cutover: {move.said()}")
    time.sleep(1)
    if move.run("follow") != 2:
        verdict.problems.append(f"a target that has taken over was not refused: {move.said()}")


ACCIDENTS: Sequence[tuple[str, Happen]] = (
    ("nothing", nothing),
    ("the target is away for a minute", target_dies),
    ("the source restarts", source_restarts),
    ("a server restarts during the copy", servers_restart_during_the_copy),
    ("the slot is lost", slot_is_lost),
    ("the source keeps too much WAL", too_much_wal),
)


def main(arguments: Sequence[str]) -> int:
    """Let it all happen; the exit status."""
    stage = prepare("chaos live", __doc__, "command", 50, SETTINGS, arguments)
    try:
        for server in stage.servers:
            server.start()
        move = Move(stage.source, stage.target, stage.folder, stage.scale)
        move.keep(KEEP_SIZE)
        seconds = _seconds(move) if stage.kills else (0.0, 0.0)
        every = [*ACCIDENTS, *_kills(stage.kills, *seconds)]
        chosen = [found for found in every if stage.is_chosen(found[0])]
        print("| accident | writes | longest pause | seconds | verdict |", flush=True)
        print("|---|---|---|---|---|", flush=True)
        verdicts = [_let_happen(move, name, happen) for name, happen in chosen]
    finally:
        for server in stage.servers:
            server.stop("immediate")
        demolish(stage.folder)
    wrong = sum(bool(verdict.problems) for verdict in verdicts)
    print(f"{len(verdicts) - wrong} of {len(verdicts)} moves went well, {sum(v.writes for v in verdicts):,} writes")
    return 1 if wrong or not verdicts else 0


def _seconds(move: Move) -> tuple[float, float]:
    """How long both commands take that are killed, when nothing happens to them.

    Raises:
        NotWell: one fails even then.
    """
    move.reset()
    times = [time.monotonic()]
    for command in (FOLLOW, CUTOVER):
        if move.run(*command):
            raise NotWell(f"{command[0]} fails when nothing happens to it: {move.said()}")
        times.append(time.monotonic())
    return times[1] - times[0], times[2] - times[1]


def _kills(number: int, follow: float, cutover: float) -> Iterator[tuple[str, Happen]]:
    """Two fifths of them of each command, a fifth of the way back, evenly over its time."""
    for command, kill, seconds, share in (
        ("follow", kill_follow, follow, 2),
        ("cutover", kill_cutover, cutover, 2),
        ("go-back", kill_go_back, cutover, 1),
    ):
        for at in sorted(random.uniform(0.0, seconds) for _ in range(number * share // 5)):
            yield f"kill -9 of {command} after {at:.2f} s", kill(at)


def _let_happen(move: Move, name: str, happen: Happen) -> Verdict:
    verdict, started, writers = Verdict(name), time.monotonic(), []
    try:
        move.reset()
        writers = [Writer(number, move.url) for number in range(WRITERS)]
        happen(move, verdict)
        _bring_to_an_end(move)
        time.sleep(1)
    except NotWell as error:
        verdict.problems.append(str(error))
    finally:
        for writer in writers:
            writer.stop()
    if not verdict.problems:
        verdict.problems += _judge(move, writers)
    verdict.writes = sum(len(writer.acknowledged) for writer in writers)
    verdict.pause = max((writer.longest_pause for writer in writers), default=0.0)
    verdict.seconds = time.monotonic() - started
    print(verdict, flush=True)
    return verdict


def _bring_to_an_end(move: Move) -> None:
    """Have the target take over, however far it is.

    Raises:
        NotWell: it does not.
    """
    for _ in range(ATTEMPTS):
        if move.phase() == "back":
            return
        if move.phase() == "moved":
            # What a command that was killed has left to do; where it had not told the writers, it does now.
            move.run(*CUTOVER)
            move.moved.touch()
            return
        begin(move)
        catch_up(move)
        move.run(*CUTOVER)
    raise NotWell(f"the target does not take over: {move.said()}")


def _judge(move: Move, writers: Sequence[Writer]) -> Iterator[str]:
    """Whether each write is there once, and nothing of ours is in the source any more."""
    with closing(move.connect(move.target if move.moved.exists() else move.source)) as connection:
        for table in ("movement", "ledger"):
            there = Counter(fetch(connection, f"SELECT writer, number FROM {table}"))
            if doubled := sum(times > 1 for times in there.values()):
                yield f"{doubled} writes are doubled in {table}"
            for writer in writers:
                mine = {number for number_of, number in there if number_of == writer.number}
                if missing := writer.acknowledged - mine:
                    yield f"{len(missing)} acknowledged writes are missing in {table}"
                if strange := mine - writer.acknowledged - writer.uncertain:
                    yield f"{len(strange)} writes are in {table} that failed"
        if fetch(connection, UNBALANCED):
            yield "balances are wrong"
        ((tickets, written),) = fetch(
            connection, "SELECT (SELECT last_value FROM ticket), (SELECT count(*) FROM movement)"
        )
        if tickets < written:
            yield f"the sequence gives values again: {tickets} of {written}"
    old, new = move.left(move.source), move.left(move.target)
    if back := {name.partition(" ")[2] for name in old if name.startswith("subscription ")}:  # a way back
        old, new = ({name for name in left if name.partition(" ")[2] not in back} for left in (old, new))
        new.discard("identity of ledger")  # which the old server needs, as the new one did
    if old:
        yield f"{sorted(old)} are left in the source"
    if new:
        yield f"{sorted(new)} are left in the target"
