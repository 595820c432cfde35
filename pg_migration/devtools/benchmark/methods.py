"""The ways to migrate that are compared, each as one shell command."""

import json
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from psycopg2.extensions import parse_dsn


@dataclass(frozen=True)
class Setting:
    """What every method is given: two URLs, the tables, how many jobs, PostgreSQL's programs, a folder to work in."""

    source: str
    target: str
    tables: tuple[str, ...]
    jobs: int
    bindir: Path
    folder: Path

    def program(self, name: str, *arguments: object) -> str:
        """A call of one of PostgreSQL's programs."""
        return shlex.join([str(self.bindir / name), *map(str, arguments)])

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of every method; Dagster's records are new for each."""
        return {
            "PATH": f"{self.bindir}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.folder),
            "DAGSTER_HOME": str(self.folder),
            "PG_MIGRATION_SOURCE_URL": self.source,
            "PG_MIGRATION_TARGET_URL": self.target,
            "PYTHONPATH": ":".join(path for path in sys.path if path),
            "TMPDIR": str(self.folder),
        }


RECORDS = "dagster_records"

WITHOUT_TELEMETRY = "telemetry: {enabled: false}\n"

DAGSTER_YAML = f"""{WITHOUT_TELEMETRY}
storage:
  custom: {{module: pg_migration.orchestration.storage, class: DeploymentStorage, config: {{}}}}
"""


def _ours(setting: Setting, *options: str) -> str:
    """Our command, which keeps Dagster's records by the project's own storage."""
    command = [sys.executable, "-m", "pg_migration", "run", "--workers", str(setting.jobs)]
    return shlex.join([*command, *options])


def _ours_by_dagster(setting: Setting) -> str:
    """The same job by Dagster's command, with the storage that Dagster has where nothing else is said."""
    (setting.folder / "dagster.yaml").write_text(WITHOUT_TELEMETRY)
    config = setting.folder / "run.yaml"
    config.write_text(json.dumps({"resources": {"migration": {"config": {"workers": setting.jobs}}}}))
    return shlex.join(
        [
            *(sys.executable, "-m", "dagster", "job", "execute"),
            *("-m", "pg_migration.definitions", "-j", "migrate", "-c", str(config)),
        ]
    )


def _ours_on_postgres(setting: Setting) -> str:
    """With Dagster's records in a new database of the target's server."""
    (setting.folder / "dagster.yaml").write_text(DAGSTER_YAML)
    server = parse_dsn(setting.target)
    variables = {
        "DAGSTER_POSTGRES_HOST": server["host"],
        "DAGSTER_POSTGRES_PORT": server["port"],
        "DAGSTER_POSTGRES_USER": server["user"],
        "DAGSTER_POSTGRES_PASSWORD": server["password"],
        "DAGSTER_POSTGRES_DB": RECORDS,
    }
    commands = [f"DROP DATABASE IF EXISTS {RECORDS} WITH (FORCE)", f"CREATE DATABASE {RECORDS}"]
    create = setting.program("psql", "-X", "-q", "-d", setting.target, *(part for c in commands for part in ("-c", c)))
    environment = shlex.join(["env", *(f"{name}={value}" for name, value in variables.items())])
    return f"{create} && {environment} {_ours(setting)}"


def _pgcopydb(setting: Setting) -> str:
    return shlex.join(
        [
            *("pgcopydb", "clone", "--source", setting.source, "--target", setting.target),
            *("--table-jobs", str(setting.jobs), "--index-jobs", str(setting.jobs)),
            *("--dir", str(setting.folder / "pgcopydb"), "--restart", "--not-consistent"),
        ]
    )


def _pgcopydb_and_hashes(setting: Setting) -> str:
    """With the proof that newer versions of it offer: `pgcopydb compare data`."""
    query = 'SELECT count(1), sum(hashtext(t::text)::bigint) FROM ONLY "{}" AS t'
    hashes = " && ".join(
        f"{_for_each_table(setting, setting.program('psql', '-X', '-q', '-A', '-t', '-d', url, '-c', query))} "
        f"| sort > {shlex.quote(str(setting.folder / side))}"
        for side, url in (("source", setting.source), ("target", setting.target))
    )
    return f"{_pgcopydb(setting)} && {hashes} && cmp {shlex.quote(str(setting.folder))}/{{source,target}}"


def _dump_and_psql(setting: Setting) -> str:
    dump = setting.program("pg_dump", "-d", setting.source)
    return f"{dump} | {setting.program('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', setting.target)}"


def _dump_and_restore(setting: Setting) -> str:
    archive = setting.folder / "archive"
    dump = setting.program("pg_dump", "-Fd", "-Z0", "-j", setting.jobs, "-f", archive, "-d", setting.source)
    return f"{dump} && {setting.program('pg_restore', '-j', setting.jobs, '-d', setting.target, archive)}"


def _floor(setting: Setting) -> str:
    """Nothing but the bytes, through psql, and the indexes: no checks, no snapshot, no second chance."""
    structure = setting.folder / "structure"
    out = setting.program("psql", "-X", "-q", "-d", setting.source, "-c", "COPY {} TO STDOUT")
    into = setting.program("psql", "-X", "-q", "-d", setting.target, "-c", "COPY {} FROM STDIN")
    return " && ".join(
        [
            setting.program("pg_dump", "-Fc", "--schema-only", "-f", structure, "-d", setting.source),
            setting.program("pg_restore", "--section=pre-data", "-d", setting.target, structure),
            _for_each_table(setting, f"{out} | {into}"),
            setting.program(
                *("pg_restore", "--section=post-data", "-j", setting.jobs, "-d", setting.target, structure)
            ),
        ]
    )


def _for_each_table(setting: Setting, command: str) -> str:
    """A command for each table, whose name stands for {} in it; as many at once as there are jobs."""
    tables = f"printf '%s\\n' {shlex.join(setting.tables)}"
    return f"{tables} | xargs -P {setting.jobs} -I {{}} bash -c {shlex.quote(command)}"


def _logical_replication(setting: Setting) -> str:
    """The copy that a subscription begins with, after which it would follow."""
    name = "benchmark"

    def psql(url: str, *commands: str) -> str:
        said = (part for command in commands for part in ("-c", command))
        return setting.program("psql", "-X", "-q", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", "-d", url, *said)

    wait = (
        "DO $$BEGIN WHILE EXISTS (SELECT FROM pg_subscription_rel WHERE srsubstate <> 'r') LOOP "
        "PERFORM pg_sleep(0.02); END LOOP; END$$"
    )
    return " && ".join(
        [
            f"{setting.program('pg_dump', '--schema-only', '-d', setting.source)} | {psql(setting.target)}",
            psql(setting.source, f"CREATE PUBLICATION {name} FOR ALL TABLES"),
            psql(
                setting.target,
                f"ALTER SYSTEM SET max_sync_workers_per_subscription = {setting.jobs}",
                "SELECT pg_reload_conf()",
                f"CREATE SUBSCRIPTION {name} CONNECTION '{setting.source}' PUBLICATION {name} WITH (copy_data)",
                wait,
                f"DROP SUBSCRIPTION {name}",
            ),
            psql(setting.source, f"DROP PUBLICATION {name}"),
        ]
    )


METHODS: Mapping[str, Callable[[Setting], str]] = {
    "pg_migration": _ours,
    "pg_migration, rows counted": lambda setting: _ours(setting, "--no-check-content"),
    "pg_migration, unlogged": lambda setting: _ours(setting, "--use-unlogged-tables"),
    "pg_migration, records in PostgreSQL": _ours_on_postgres,
    "dagster job execute": _ours_by_dagster,
    "pgcopydb": _pgcopydb,
    "pgcopydb, rows hashed as text": _pgcopydb_and_hashes,
    "pg_dump | psql": _dump_and_psql,
    "pg_dump -Fd, pg_restore -j": _dump_and_restore,
    "logical replication": _logical_replication,
    "floor: psql | psql": _floor,
}


def available() -> tuple[str, ...]:
    """The methods that can be run here; pgcopydb is optional."""
    return tuple(name for name in METHODS if not name.startswith("pgcopydb") or shutil.which("pgcopydb"))
