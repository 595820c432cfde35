"""Databases of real applications, migrated by default, judged by pg_dump and the rows' hashes.

Those of `pg_migration_tests.real_databases` need nothing but the packages of the extra `dev`. Dumps of databases of
one's own are tried too, from PostgreSQL 15 to 15: `PG_MIGRATION_TEST_DUMPS` names a folder of files that end in .sql or
.sql.gz.
"""

import gzip
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pg_migration_tests.conftest import PostgresServer, run
from pg_migration_tests.orchestration.conftest import serve
from pg_migration_tests.orchestration.harness import BOOKKEEPING, Database, Platform
from pg_migration_tests.real_databases import dagster_records

PROGRAMS = Path(__file__).parents[2] / "real_databases"
APPLICATIONS = ("dagster_records", "django_site", "optuna_studies", "roundup_tracker")
FOLDER = os.environ.get("PG_MIGRATION_TEST_DUMPS", "")
DUMPS = sorted(Path(FOLDER).glob("*.sql*")) if FOLDER else []

ROWS = f"""
SELECT format('SELECT %L, count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) FROM ONLY %1$s AS t', oid::regclass)
FROM pg_class WHERE relkind = 'r' AND oid >= 16384 AND relnamespace::regnamespace::text <> '{BOOKKEEPING}'
ORDER BY relnamespace::regnamespace::text, relname
\\gexec
"""
SEQUENCES = "SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2"


def everything(database: Database) -> tuple[str, str, str]:
    """The structure, a hash of each table's rows, and the sequences."""
    structure = database.dump("--schema-only", "--exclude-schema", BOOKKEEPING)
    return structure, database.psql(ROWS), database.psql(SEQUENCES)


def assert_arrives(platform: Platform, least_tables: int, by_job: bool = False) -> None:
    """By a run of the library or the job, and by one of the library over what the first one left."""
    wanted = everything(platform.source)
    filled = [line for line in wanted[1].splitlines() if line.split("|")[1] != "0"]
    assert len(filled) >= least_tables
    first = platform.migrate() if by_job else platform.migrate_directly()
    assert not first.failures
    assert everything(platform.target) == wanted
    assert platform.migrate_directly().failures == ()
    assert everything(platform.target) == wanted
    assert everything(platform.source) == wanted


@pytest.mark.longer
@pytest.mark.parametrize("application", APPLICATIONS)
def test_what_an_application_made(platform: Platform, application: str) -> None:
    if application == "dagster_records":  # its package is here already, and takes long to import
        dagster_records.main(platform.source.url)
    else:
        run([sys.executable, PROGRAMS / f"{application}.py", platform.source.url])
    assert_arrives(platform, least_tables=8, by_job=application == "optuna_studies")


@pytest.fixture
def from_15_to_15(postgres15: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Platform]:
    """One server with contrib, ICU and libxml, which some databases need."""
    urls = [postgres15.create_database(options="ENCODING 'UTF8'") for _ in range(2)]
    yield from serve(*(Database(postgres15, url) for url in urls), monkeypatch, tmp_path)
    for url in urls:
        postgres15.drop_database(url)


@pytest.mark.skipif(not DUMPS, reason="PG_MIGRATION_TEST_DUMPS names no folder with dumps")
@pytest.mark.parametrize("dump", DUMPS, ids=[path.name for path in DUMPS])
def test_a_database_of_ones_own(from_15_to_15: Platform, dump: Path) -> None:
    content = dump.read_bytes()
    from_15_to_15.source.psql((gzip.decompress(content) if dump.suffix == ".gz" else content).decode())
    from_15_to_15.set(SOURCE_SCHEMA="*")
    assert_arrives(from_15_to_15, least_tables=1, by_job=True)
