"""Real databases, where they lie beside the checkout: the whole job, judged by pg_dump and by the rows' hashes."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.orchestration.conftest import serve
from pg_migration_tests.orchestration.harness import Database, Platform

CORPORA = Path(__file__).parents[2].parent / "shared" / "corpora"
NAMES = ("chinook", "pagila", "graphile", "pgcopydb_tests_nogis", "cratesio", "procrastinate")


@pytest.fixture
def from_15_to_15(postgres15: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Platform]:
    """One server with contrib, ICU and libxml, which some of these databases need."""
    urls = [postgres15.create_database(options="ENCODING 'UTF8'") for _ in range(2)]
    yield from serve(*(Database(postgres15, url) for url in urls), monkeypatch, tmp_path)
    for url in urls:
        postgres15.drop_database(url)


@pytest.mark.parametrize("name", NAMES)
def test_the_whole_database_arrives(from_15_to_15: Platform, name: str) -> None:
    platform, dump = from_15_to_15, CORPORA / f"{name}.sql.gz"
    if not dump.exists():
        pytest.skip(f"no {dump}")
    platform.source.psql(gzip.decompress(dump.read_bytes()).decode())
    platform.set(SOURCE_SCHEMA="*")
    done = platform.migrate(chunk_size=1000, partition_threshold=2000)
    assert done.success
    checks = done.result.get_asset_check_evaluations()
    tables = platform.source.psql(
        "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p') AND oid >= 16384 AND "
        "NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')"
    )
    assert sum(check.check_name == "content" and check.passed for check in checks) == int(tables)
    schemas = platform.source.psql("SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$)'")
    for schema in schemas.split("\n"):
        ours, theirs = (
            platform.source.server.dump_schema(end.url, schema) for end in (platform.source, platform.target)
        )
        assert ours == theirs
