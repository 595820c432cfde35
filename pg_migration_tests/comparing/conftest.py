"""A pair of databases on two versions."""

from collections.abc import Iterator

import pytest

from pg_migration.postgres.session import Connections
from pg_migration_tests.comparing.harness import Pair
from pg_migration_tests.conftest import PostgresServer


@pytest.fixture
def pair(postgres16: PostgresServer, postgres18: PostgresServer, source_db: str, target_db: str) -> Iterator[Pair]:
    with Connections() as links:
        yield Pair((postgres16, postgres18), (source_db, target_db), links)
