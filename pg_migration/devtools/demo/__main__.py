"""The commands behind ``make demo``, ``make ui`` and ``make clean``: ``python -m pg_migration.devtools.demo``."""

import argparse
import os
import subprocess
import sys
from datetime import datetime, timezone
from importlib.resources import as_file, files
from pathlib import Path

import psycopg2
from psycopg2 import sql

from pg_migration.devtools.demo import flights
from pg_migration.devtools.servers import Server, ServerFailed, demolish, embedded, server_account, usable, workshop
from pg_migration.orchestration import dagster_home

DATABASE = "flights"
SCHEMA = "public"
VERSIONS = {"source": 16, "target": 18}

CONFIG = files("pg_migration.devtools.demo").joinpath("run.yaml")

# The demo's data can be made again at any time, so no commit has to wait for the disk.
SETTINGS = {"fsync": "off", "max_wal_size": "2GB"}


class Demo:
    """Two servers, their data and Dagster's records, in one folder.

    Args:
        folder: is made if missing, and may be deleted by `clean`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers_folder = folder / "servers"
        self._dagster_home = folder / "dagster_home"

    def servers(self) -> dict[str, Server]:
        """The servers by side, running or not; none where nothing was set up."""
        if not self._servers_folder.exists():
            return {}
        place, account = self._servers_folder.resolve(), server_account()
        return {
            side: Server(usable(embedded(version), account, place), place / side, account, SETTINGS)
            for side, version in VERSIONS.items()
        }

    def start(self) -> dict[str, str]:
        """Start what does not run, fill the source where it is empty; the URLs by side."""
        workshop(self._servers_folder, server_account())
        urls = {}
        for side, server in self.servers().items():
            server.start()
            _say(f"{side}: PostgreSQL {server.installation.version} runs at 127.0.0.1:{server.port}")
            _create_database(server)
            urls[side] = server.url(DATABASE)
        if flights.load(urls["source"]):
            _say("source: loaded all flights from New York City in 2013")
        return urls

    def environment(self, urls: dict[str, str], config: Path) -> dict[str, str]:
        """The environment that Dagster is run in; ``config`` is how runs that the UI starts are configured."""
        return {
            **os.environ,
            "DAGSTER_HOME": str(dagster_home.prepare(self._dagster_home)),
            "PG_MIGRATION_RUN_CONFIG": str(config),
            "PG_MIGRATION_SOURCE_URL": urls["source"],
            "PG_MIGRATION_TARGET_URL": urls["target"],
            "PG_MIGRATION_SOURCE_SCHEMA": SCHEMA,
            "PG_MIGRATION_TARGET_SCHEMA": SCHEMA,
        }

    def run(self) -> int:
        """Migrate, then show what arrived; the exit status of the migration."""
        urls = self.start()
        with as_file(CONFIG) as config:
            command = ["pg_migration", "run", "-c", str(config)]
            _say("$ " + " ".join(command))
            started = datetime.now(timezone.utc)
            environment = self.environment(urls, config)
            status = subprocess.run([sys.executable, "-m", *command], env=environment, check=False).returncode
        self._show(urls, started)
        _say("To see it in Dagster's UI: make ui")
        return status

    def ui(self) -> None:
        """Become Dagster's UI on the demo's databases."""
        with as_file(CONFIG) as config:
            environment = self.environment(self.start(), config)
            os.execve(sys.executable, [sys.executable, "-m", "pg_migration", "ui"], environment)

    def stop(self) -> None:
        """Stop the servers and keep their data."""
        for server in self.servers().values():
            server.stop()

    def clean(self) -> None:
        """Stop the servers and delete everything."""
        self.stop()
        demolish(self._servers_folder)
        demolish(self._folder)

    def status(self) -> None:
        """Say what runs where."""
        for side, server in self.servers().items():
            state = f"at 127.0.0.1:{server.port}" if server.is_running() else "stopped"
            _say(f"{side}: PostgreSQL {server.installation.version} {state}; password in {server.folder / 'password'}")

    def _show(self, urls: dict[str, str], since: datetime) -> None:
        # Dagster takes a second or two to import, which the other commands need not wait for.
        from dagster import DagsterInstance

        from pg_migration.devtools.demo import outcome

        with DagsterInstance.from_config(str(self._dagster_home)) as instance:
            run = outcome.last_run(instance, since)
            events = [] if run is None else instance.all_logs(run.run_id)
        counts = {side: outcome.count_rows(url, SCHEMA) for side, url in urls.items()}
        lines = outcome.table(counts["source"], counts["target"], outcome.outcomes(events, SCHEMA))
        _say("")
        _say(lines.to_string())
        _say("")


def _create_database(server: Server) -> None:
    connection = psycopg2.connect(server.url())
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,))
            if cursor.rowcount == 0:
                cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    finally:
        connection.close()


def _say(line: str) -> None:
    # At once: the migration that follows writes to the same terminal from another process.
    print(line, flush=True)


def main() -> int:
    """Run one command; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m pg_migration.devtools.demo", description=__doc__)
    parser.add_argument("command", choices=["run", "ui", "status", "stop", "clean"])
    parser.add_argument("--folder", type=Path, default=Path(".demo"), help="where everything is kept (default: .demo)")
    arguments = parser.parse_args()
    try:
        return getattr(Demo(arguments.folder.absolute()), arguments.command)() or 0
    except PermissionError as error:
        print(f"{error}. Was the demo made by another user? Run make clean as that user.", file=sys.stderr)
        return 1
    except (ServerFailed, flights.DataMissing) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
