"""Pairs of servers that structure is taken between."""

from collections.abc import Iterator

import pytest

from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.ddl.round_trip import Pair, pair_of


def ends(request: pytest.FixtureRequest) -> list[PostgresServer]:
    """The two servers that the parameter of a fixture names."""
    return [request.getfixturevalue(f"postgres{version}") for version in request.param.split(" to ")]


ENDS = ["16 to 16", "18 to 18", "16 to 18"]
# The upgrade is tried each time; two servers of one version are among the longer proofs.
UPGRADE_FIRST = [*(pytest.param(same, marks=pytest.mark.longer) for same in ENDS[:2]), ENDS[2]]


@pytest.fixture(params=UPGRADE_FIRST)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """An older server, a newer one, and an upgrade."""
    yield from pair_of(*ends(request))


@pytest.fixture(params=[pytest.param(16, marks=pytest.mark.longer), 18])
def alike(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Two databases of one version, for what versions do not dump alike."""
    server = request.getfixturevalue(f"postgres{request.param}")
    yield from pair_of(server, server)


@pytest.fixture
def upgrade(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[Pair]:
    """From 16 to 18 only, where versions don't matter."""
    yield from pair_of(postgres16, postgres18)


@pytest.fixture
def older(postgres16: PostgresServer) -> Iterator[Pair]:
    """From 16 to 16, for what 17 ended."""
    yield from pair_of(postgres16, postgres16)


@pytest.fixture
def newest(postgres18: PostgresServer) -> Iterator[Pair]:
    """From 18 to 18, for what only 18 has."""
    yield from pair_of(postgres18, postgres18)


@pytest.fixture
def downgrade(postgres18: PostgresServer, postgres16: PostgresServer) -> Iterator[Pair]:
    """From 18 to 16."""
    yield from pair_of(postgres18, postgres16)


@pytest.fixture
def complete(postgres15: PostgresServer) -> Iterator[Pair]:
    """From 15 to 15, for what needs contrib, ICU, lz4 or libxml."""
    yield from pair_of(postgres15, postgres15)
