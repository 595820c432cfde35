"""The two servers that accidents happen to, what is migrated between them, and who judges it."""

import os
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

from pg_migration.demo.servers import Server
from pg_migration.postgres.session import execute, fetch, pin

DATABASE = "chaos"
RUN_SECONDS = 180

DATA = """
CREATE TABLE region (id int PRIMARY KEY, name text);
CREATE TABLE customer (id int PRIMARY KEY, region int REFERENCES region, referrer int REFERENCES customer,
    email text UNIQUE);
CREATE TABLE purchase (id bigint PRIMARY KEY, customer int REFERENCES customer, total numeric, note text);
CREATE TABLE visit (at timestamptz, page text);
CREATE INDEX ON purchase (note);
CREATE INDEX ON purchase (customer, total);
INSERT INTO region SELECT i, 'r' FROM generate_series(1, 50) i;
INSERT INTO customer SELECT i, i % 50 + 1, nullif(i / 2, 0), i || '@example.org' FROM generate_series(1, 20000) i;
INSERT INTO purchase SELECT i, i % 20000 + 1, i / 7.0, md5(i::text) FROM generate_series(1, 400000) i;
INSERT INTO visit SELECT '2024-01-01'::timestamptz + i * interval '1 s', 'p' || i % 9 FROM generate_series(1, 300000) i;
"""
CONFIG = """
resources: {migration: {config: {chunk_size: 10000, partition_threshold: 100000, max_partitions: 4, workers: 2}}}
"""

Hashes = Mapping[str, tuple[int, int]]


@dataclass
class World:
    """Both servers run; the source is filled, the target is empty."""

    source: Server
    target: Server
    folder: Path

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
                execute(connection, DATA)
                execute(connection, "ANALYZE")

    def start(self) -> "subprocess.Popen[bytes]":
        """Start the job ``migrate`` as a user would; its output goes to the file ``log``."""
        (self.folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        config = self.folder / "run.yaml"
        config.write_text(CONFIG)
        with self.log.open("wb") as output:
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

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def finish(self, process: "subprocess.Popen[bytes]") -> int:
        """Wait for a run; its exit status."""
        return process.wait(timeout=RUN_SECONDS)

    def hashes(self, server: Server) -> Hashes:
        """Rows, and the sum of a hash of each, by table."""
        with closing(self.connect(server)) as connection:
            pin(connection, "public")
            tables = fetch(connection, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
            query = sql.SQL(
                "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::numeric FROM ONLY {} AS t"
            )
            return {
                name: (rows, int(total))
                for (name,) in tables
                for rows, total in fetch(connection, query.format(sql.Identifier(name)))
            }

    def wait_until(self, server: Server, query: str, process: "subprocess.Popen[bytes]") -> None:
        """Wait until a query of the server's activity finds something, or the run ends."""
        with closing(self.connect(server)) as connection:
            while process.poll() is None and not fetch(connection, query):
                time.sleep(0.01)
