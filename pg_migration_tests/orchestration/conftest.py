"""A Dagster instance over two fresh databases."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pg_migration_tests.conftest import PostgresServer, fresh_database
from pg_migration_tests.orchestration.harness import Database, Migrated, Platform, Role
from pg_migration_tests.revisions import remember

remember()


def serve(source: Database, target: Database, monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[Platform]:
    """Dagster over two databases, for as long as the fixture that yields from this lives."""
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("PG_MIGRATION_REPORTS", "off")  # pictures take half a second: only tests of reports make them
    with ExitStack() as resources:
        made = Platform(source, target, monkeypatch, resources)
        made.set(SOURCE_URL=source.url, TARGET_URL=target.url, SOURCE_SCHEMA=None, TARGET_SCHEMA=None)
        yield made


@pytest.fixture
def platform(
    postgres16: PostgresServer,
    postgres18: PostgresServer,
    source_db: str,
    target_db: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Platform]:
    """From an empty database on PostgreSQL 16 to one on PostgreSQL 18."""
    yield from serve(Database(postgres16, source_db), Database(postgres18, target_db), monkeypatch, tmp_path)


@pytest.fixture
def shop(
    postgres16: PostgresServer,
    postgres18: PostgresServer,
    shop_db: str,
    target_db: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Platform]:
    """As `platform`, with two small tables in the source."""
    yield from serve(Database(postgres16, shop_db), Database(postgres18, target_db), monkeypatch, tmp_path)


def open_shop(
    stack: ExitStack, servers: Sequence[PostgresServer], template: str, more: str = ""
) -> tuple[Database, Database]:
    """Databases for as long as the stack lives, the first one a copy of a template, with what more DDL makes."""
    source, target = (
        Database(server, stack.enter_context(contextmanager(fresh_database)(server, copied)))
        for server, copied in zip(servers, (template, None), strict=True)
    )
    if more:
        source.psql(more)
    return source, target


Shops = Callable[..., tuple[Database, Database]]


@pytest.fixture(scope="module")
def shops(postgres16: PostgresServer, postgres18: PostgresServer, shop_template: str) -> Iterator[Shops]:
    """Makes databases as those of `shop`, and what more DDL adds, for several tests of a file."""
    with ExitStack() as stack:
        yield partial(open_shop, stack, (postgres16, postgres18), shop_template)


@pytest.fixture(scope="module")
def idle_databases(shops: Shops) -> Iterator[tuple[Database, Database]]:
    """The shop and an empty target, in which no test writes anything."""
    databases = shops()
    before = [database.dump() for database in databases]
    yield databases
    assert [database.dump() for database in databases] == before


@pytest.fixture
def idle_shop(
    idle_databases: tuple[Database, Database], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Platform]:
    """As `shop`, for tests that write to neither database: a file makes the two once."""
    yield from serve(*idle_databases, monkeypatch, tmp_path)


@pytest.fixture(scope="module")
def shop_once(shops: Shops, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Platform]]:
    """Makes platforms as `shop`, and what more DDL adds, for runs that several tests of a file look at."""
    with ExitStack() as stack:

        def make(more: str = "") -> Platform:
            source, target = shops(more)
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            return stack.enter_context(contextmanager(serve)(source, target, patch, tmp_path_factory.mktemp("home")))

        yield make


@pytest.fixture(scope="module")
def migrate_once(shops: Shops, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Migrated]]:
    """Migrates the shop, and what more DDL adds to it, for all tests of a file."""
    with ExitStack() as stack:

        def migrate(more: str = "", **config: Any) -> Migrated:
            source, target = shops(more)
            with pytest.MonkeyPatch.context() as patch:
                home = tmp_path_factory.mktemp("home")
                with contextmanager(serve)(source, target, patch, home) as platform:
                    made = Migrated.by(platform, **config)
            stack.callback(made.forget)
            return made

        yield migrate


@pytest.fixture
def migrated(migration: Migrated, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Platform]:
    """As the file's fixture `migration` left it; tests may alter the target, not the source."""
    for platform in serve(migration.source, migration.target, monkeypatch, tmp_path):
        for name, keys in migration.ranges.items():
            platform.instance.add_dynamic_partitions(name, list(keys))
        yield platform
    migration.restore()


@pytest.fixture
def clerk(request: pytest.FixtureRequest) -> Iterator[Role]:
    """A role without rights, on both servers."""
    platform = request.getfixturevalue(
        next(name for name in ("migrated", "shop", "idle_shop", "platform") if name in request.fixturenames)
    )
    role = Role("clerk", "s/e same")
    ends = (platform.source, platform.target)
    for end in ends:
        end.psql(f"CREATE ROLE {role.name} LOGIN PASSWORD '{role.password}'")
    yield role
    for end in ends:
        end.psql(f"DROP OWNED BY {role.name} CASCADE; DROP ROLE {role.name}")
