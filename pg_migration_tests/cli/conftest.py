"""A terminal with Dagster's command-line programs, over two fresh databases."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.orchestration.conftest import open_shop
from pg_migration_tests.orchestration.harness import Database
from pg_migration_tests.programs import SCRIPTS

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """A command that came to its end; ``errors`` is empty where both streams are in ``output``."""

    status: int
    output: str
    errors: str = ""


@dataclass(frozen=True)
class Terminal:
    """Where commands are typed: an environment with the two URLs and a Dagster home of its own."""

    source: Database
    target: Database
    home: Path
    programs: Path = SCRIPTS

    @property
    def starting(self) -> "Terminal":
        """The same, where programs start as they do everywhere: for a test of the start itself, since it takes long."""
        return replace(self, programs=SCRIPTS)

    def environment(self, **variables: str) -> Mapping[str, str]:
        """The variables of a session; those of the person who runs the tests stay outside."""
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("PG_MIGRATION_", "DAGSTER_", "PGPASS"))}
        urls = {"PG_MIGRATION_SOURCE_URL": self.source.url, "PG_MIGRATION_TARGET_URL": self.target.url}
        ours = {"PYTHONPATH": str(ROOT), "DAGSTER_HOME": str(self.home), "PG_MIGRATION_REPORTS": "off"}
        return {**kept, **ours, **urls, **variables}

    def execute(self, job: str, config: object = None, **variables: str) -> Ended:
        """`dagster job execute` of one job, with the configuration of the resource `migration`.

        What Dagster has captured of the steps follows what it has shown: it shows that by way of `tail`, which it ends
        before all was shown when the machine is busy.
        """
        options: list[str | Path] = []
        if config is not None:
            file = self.home / "run.yaml"
            file.write_text(yaml.safe_dump({"resources": {"migration": {"config": config}}}))
            options = ["-c", file]
        earlier = self._captured
        done = self.run("dagster", "job", "execute", "-m", "pg_migration.definitions", "-j", job, *options, **variables)
        captured = (file.read_text(encoding="utf-8") for file in sorted(self._captured - earlier))
        return replace(done, output="\n".join([done.output, *captured]))

    @property
    def _captured(self) -> set[Path]:
        return set(self.home.rglob("compute_logs/*"))

    def run(self, program: str, *arguments: str | Path, **variables: str) -> Ended:
        """Run one program in the project's folder; both of its streams together."""
        done = subprocess.run(
            [self.programs / program, *arguments],
            cwd=ROOT,
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Ended(done.returncode, done.stdout)

    def command(self, *arguments: str | Path, **variables: str) -> Ended:
        """Run `pg_migration`, whose reports are in Dagster's home, with its two streams apart.

        The pictures of a run's report take most of a second: where they don't matter, reports are switched off.
        """
        done = subprocess.run(
            [self.programs / "pg_migration", *arguments],
            cwd=self.home,
            env=self.environment(**{"PG_MIGRATION_REPORTS": "", **variables}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def assert_secret(self, *texts: str) -> None:
        """Neither the texts nor any file in Dagster's home holds the password of one of the URLs."""
        stored = [path.read_bytes() for path in self.home.rglob("*") if path.is_file()]
        for url in (self.source.url, self.target.url):
            password = str(urlsplit(url).password)
            assert not any(password in text for text in texts)
            assert not any(password.encode() in content for content in stored)


def prepare(source: Database, target: Database, home: Path, programs: Path) -> Terminal:
    """A terminal whose Dagster home is set up."""
    (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    return Terminal(source, target, home, programs)


@pytest.fixture
def terminal(
    programs: Path,
    postgres16: PostgresServer,
    postgres18: PostgresServer,
    shop_db: str,
    target_db: str,
    tmp_path: Path,
) -> Terminal:
    """From two small tables on PostgreSQL 16 to an empty database on PostgreSQL 18."""
    return prepare(Database(postgres16, shop_db), Database(postgres18, target_db), tmp_path, programs)


@pytest.fixture(scope="module")
def shared_terminal(
    programs: Path,
    postgres16: PostgresServer,
    postgres18: PostgresServer,
    shop_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Terminal]:
    """As `terminal`, for several tests of a file."""
    with ExitStack() as stack:
        ends = open_shop(stack, (postgres16, postgres18), shop_template)
        yield prepare(*ends, tmp_path_factory.mktemp("home"), programs)
