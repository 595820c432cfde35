"""The two servers that accidents happen to, what is migrated between them, and who judges it."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.devtools.servers import EMBEDDED, Server, embedded, usable
from pg_migration.postgres.connection.session_settings import pin
from pg_migration.postgres.connection.statements import execute, fetch

DATABASE = "chaos"
SMALL_DISK = "small_disk"
RUN_SECONDS = 300
RECOVERY_SECONDS = 60

# Sessions of a migration that runs.
OURS = "datname = current_database() AND application_name LIKE 'pg_migration%'"

DATA = """
CREATE TABLE region (id int PRIMARY KEY, name text);
CREATE TABLE customer (id int PRIMARY KEY, region int REFERENCES region, referrer int REFERENCES customer,
    email text UNIQUE);
CREATE TABLE purchase (id bigint PRIMARY KEY, customer int REFERENCES customer, total numeric, note text);
CREATE TABLE visit (at timestamptz, page text);
CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL);
CREATE TABLE movement (id serial PRIMARY KEY, account int NOT NULL REFERENCES account, amount bigint NOT NULL);
CREATE INDEX ON purchase (note);
CREATE INDEX ON purchase (customer, total);
INSERT INTO region SELECT i, 'r' FROM generate_series(1, 50) i;
INSERT INTO customer SELECT i, i % 50 + 1, nullif(i / 2, 0), i || '@example.org' FROM generate_series(1, 20000) i;
INSERT INTO account SELECT i, 0 FROM generate_series(1, 20000) i;
INSERT INTO movement (account, amount) SELECT i % 20000 + 1, 0 FROM generate_series(1, ({scale} * 100000)::int) i;
INSERT INTO purchase SELECT i, i % 20000 + 1, i / 7.0, md5(i::text) FROM generate_series(1, ({scale} * 400000)::int) i;
INSERT INTO visit SELECT '2024-01-01'::timestamptz + i * interval '1 s', 'p' || i % 9
    FROM generate_series(1, ({scale} * 300000)::int) i;
"""
# Every transaction keeps this empty, so it is in every snapshot, and in no mix of two.
UNBALANCED = """
SELECT a.id FROM account a JOIN (SELECT account, sum(amount) FROM movement GROUP BY 1) AS m ON m.account = a.id
WHERE m.sum <> a.balance
"""
SIZE = """
SELECT sum(pg_table_size(oid) * %s + pg_indexes_size(oid) * %s)::float8 FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
"""
LAST_RUN = "SELECT succeeded FROM _pg_migration.run ORDER BY started_at DESC LIMIT 1"
CHUNKS = "SELECT schema_name, table_name, range_key, chunk, target_xid FROM _pg_migration.chunk"
CONFIG = """
resources: {migration: {config: {chunk_size: 10000, partition_threshold: 100000, max_partitions: 4, workers: 2}}}
"""

Hashes = Mapping[str, tuple[int, int]]
Chunks = frozenset[tuple[object, ...]]


class TooLate(Exception):
    """The run was over before the accident could happen."""


class Impossible(Exception):
    """This machine does not allow the accident."""


@dataclass
class World:
    """Both servers run; the source is filled, the target is empty.

    ``scale`` is the share of the rows of the tables that are large.
    """

    source: Server
    target: Server
    folder: Path
    scale: float = 1.0

    def connect(self, server: Server, database: str = DATABASE) -> Connection:
        """A session of somebody else than the migration."""
        connection = psycopg2.connect(server.url(database), application_name="chaos")
        connection.autocommit = True
        return connection

    def reset(self) -> None:
        """An empty target, and a filled source where it is not."""
        with closing(self.connect(self.source, "postgres")) as connection:
            filled = fetch(connection, "SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
        for server in (self.target,) if filled else (self.source, self.target):
            with closing(self.connect(server, "postgres")) as connection:
                for command in ("DROP DATABASE IF EXISTS {} WITH (FORCE)", "CREATE DATABASE {}"):
                    execute(connection, sql.SQL(command).format(sql.Identifier(DATABASE)))
        if not filled:
            with closing(self.connect(self.source)) as connection:
                execute(connection, sql.SQL(DATA).format(scale=sql.Literal(self.scale)))
                execute(connection, "ANALYZE")

    def start(self, name: str = "run") -> "subprocess.Popen[bytes]":
        """Start the job ``migrate`` as a user would; its output goes to the file `log` of that name."""
        (self.folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        config = self.folder / "run.yaml"
        config.write_text(CONFIG)
        with self.log(name).open("wb") as output:
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", "dagster", "job", "execute"),
                    *("-m", "pg_migration.definitions", "-j", "migrate", "-c", str(config)),
                ],
                env={
                    **os.environ,
                    "DAGSTER_HOME": str(self.folder),
                    "PG_MIGRATION_SOURCE_URL": self.source.url(DATABASE),
                    "PG_MIGRATION_TARGET_URL": self.target.url(DATABASE),
                },
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def log(self, name: str = "run") -> Path:
        """What a run printed."""
        return self.folder / f"{name}.log"

    def finish(self, process: "subprocess.Popen[bytes]") -> int:
        """Wait for a run; its exit status."""
        return process.wait(timeout=RUN_SECONDS)

    def hashes(self, server: Server) -> Hashes:
        """Rows, and the sum of a hash of each, by table."""
        with closing(self.connect(server)) as connection:
            pin(connection)
            tables = fetch(connection, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
            query = sql.SQL(
                "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::numeric FROM ONLY public.{} AS t"
            )
            return {
                name: (rows, int(total))
                for (name,) in tables
                for rows, total in fetch(connection, query.format(sql.Identifier(name)))
            }

    def structure(self, server: Server) -> str:
        """What the newest pg_dump says of everything but rows."""
        program = usable(embedded(max(EMBEDDED)), server.account, self.folder).bindir / "pg_dump"
        done = subprocess.run(
            [program, "--schema-only", "--schema", "public", "-d", server.url(DATABASE)],
            capture_output=True,
            text=True,
            check=True,
        )
        # The versions of both programs, and a key that pg_dump makes up every time.
        return re.sub(r"^(-- Dumped .*|\\(un)?restrict .*)\n", "", done.stdout, flags=re.MULTILINE)

    def differences(self) -> list[str]:
        """How the target differs from the source, in rows and in structure."""
        ours, theirs = self.hashes(self.source), self.hashes(self.target)
        found = [f"rows of {name} differ" for name in ours if theirs.get(name) != ours[name]]
        if self.structure(self.source) != self.structure(self.target):
            found.append("the structure differs")
        return found

    def is_balanced(self) -> bool:
        """Whether the target is of one moment, whatever was written to the source since."""
        with closing(self.connect(self.target)) as connection:
            return not fetch(connection, UNBALANCED)

    def succeeded(self) -> bool:
        """Whether the last run wrote down that it succeeded, whatever became of its process then."""
        with closing(self.connect(self.target)) as connection:
            try:
                return fetch(connection, LAST_RUN) == [(True,)]
            except psycopg2.errors.UndefinedTable:
                return False

    def chunks(self) -> Chunks:
        """The chunks that are in the target, by the transactions that wrote them."""
        with closing(self.connect(self.target)) as connection:
            try:
                return frozenset(fetch(connection, CHUNKS))
            except psycopg2.errors.UndefinedTable:
                return frozenset()

    def backends(self) -> int:
        """Sessions of the migration that are left on either side."""
        left = 0
        for server in (self.source, self.target):
            with closing(self.connect(server)) as connection:
                left += len(fetch(connection, f"SELECT 1 FROM pg_stat_activity WHERE {OURS}"))
        return left

    def wait_until(self, server: Server, query: str, process: "subprocess.Popen[bytes]") -> None:
        """Wait until a query of the server's activity finds something.

        Raises:
            TooLate: the run ended before.
        """
        with closing(self.connect(server)) as connection:
            while not fetch(connection, query):
                if process.poll() is not None:
                    raise TooLate
                time.sleep(0.005)

    def wait_for_recovery(self, server: Server) -> None:
        """Wait until the server takes connections again."""
        deadline = time.monotonic() + RECOVERY_SECONDS
        while not self._answers(server):
            if time.monotonic() > deadline:
                raise TimeoutError("the server does not recover")
            time.sleep(0.05)

    def _answers(self, server: Server) -> bool:
        try:
            self.connect(server).close()
        except psycopg2.OperationalError:
            return False
        return True

    def move_to_small_disk(self, tables: float, indexes: float) -> None:
        """Give the target database a disk of its own, with room for shares of the source's tables and indexes.

        Raises:
            Impossible: where this user can't mount one.
        """
        with closing(self.connect(self.source)) as connection:
            ((size,),) = fetch(connection, SIZE, (tables, indexes))
        with closing(self.connect(self.target)) as connection:
            ((empty,),) = fetch(connection, "SELECT pg_database_size(current_database())")
        self.disk.mkdir(exist_ok=True)
        self._mount(f"size={int(empty + size)}")
        os.chown(self.disk, self.target.account.uid, self.target.account.gid)
        with closing(self.connect(self.target, "postgres")) as connection:
            for command in (
                f"CREATE TABLESPACE {SMALL_DISK} LOCATION '{self.disk}'",
                f"ALTER DATABASE {DATABASE} SET TABLESPACE {SMALL_DISK}",
            ):
                execute(connection, command)

    def enlarge_disk(self) -> None:
        """Somebody makes room."""
        self._mount("remount,size=4G")

    def remove_small_disk(self) -> None:
        """Take the disk away, and the database with it."""
        with closing(self.connect(self.target, "postgres")) as connection:
            execute(connection, f"DROP DATABASE {DATABASE} WITH (FORCE)")
            execute(connection, f"DROP TABLESPACE {SMALL_DISK}")
        self._unmount()

    @property
    def disk(self) -> Path:
        """Where the small disk is mounted."""
        return self.folder / SMALL_DISK

    def _mount(self, options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", f"{options},mode=700", SMALL_DISK, str(self.disk)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise Impossible(str(error)) from None
        if done.returncode:
            raise Impossible(f"a small disk can't be mounted: {done.stderr.strip()}")

    def _unmount(self) -> None:
        subprocess.run(["umount", str(self.disk)], capture_output=True, check=True)

    def tidy(self) -> None:
        """Take away what would outlive the folder."""
        if self.disk.is_mount():
            self._unmount()
