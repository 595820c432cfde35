"""Real databases, where they lie beside the checkout: their structure arrives whole."""

import gzip
from pathlib import Path

import pytest

from pg_migration_tests.schema.round_trip import Pair, assert_identical

CORPORA = Path(__file__).parents[2].parent / "shared" / "corpora"
NAMES = ("chinook", "pagila", "graphile", "pgcopydb_tests_nogis", "cratesio", "procrastinate")
USER_SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$)' ORDER BY nspname"


@pytest.mark.parametrize("name", NAMES)
def test_dumps_alike(complete: Pair, name: str) -> None:
    dump = CORPORA / f"{name}.sql.gz"
    if not dump.exists():
        pytest.skip(f"no {dump}")
    complete.load(gzip.decompress(dump.read_bytes()).decode())
    schemas = complete.source.psql(complete.source_url, USER_SCHEMAS).split("\n")
    assert_identical(complete, "", tuple(filter(None, schemas)))
