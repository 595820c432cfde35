"""How much of the target's machine an index build takes, and what the index that it makes means."""

from collections.abc import Callable, Iterator

import pytest

from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.ledger.lock import TargetLock
from pg_migration.postgres.snapshot.snapshot import Snapshot
from pg_migration.postgres.transfer.load_context import LoadContext
from pg_migration.postgres.transfer.worker import Worker
from pg_migration_tests.postgres.transfer.harness import Pair

Processes = Callable[[int], int]


@pytest.fixture
def processes(pair: Pair) -> Iterator[Processes]:
    """The parallel processes that one of so many workers lets an index build have."""
    source, target = pair.source.endpoint, pair.target.endpoint
    with Connections("pg_migration test") as connections:
        lock = TargetLock(connections, target, "test")
        lock.acquire()
        snapshot = Snapshot.take(connections, source)

        def allowed(workers: int) -> int:
            context = LoadContext(connections, source, target, snapshot, lock, "test", pair.schemas, False, workers, ())
            ((found,),) = fetch(Worker(context).target, "SHOW max_parallel_maintenance_workers")
            return int(found)

        yield allowed


def change(pair: Pair, *settings: str) -> None:
    """Set what sessions of the target begin with."""
    for scope, setting in (text.split(": ") for text in settings):
        of = {"role": "ROLE postgres IN DATABASE", "database": "DATABASE"}[scope]
        pair.target.psql(f"SELECT format('ALTER {of} %I SET {setting}', current_database()) \\gexec")


def test_a_server_that_nobody_sized(pair: Pair, processes: Processes) -> None:
    assert pair.target.psql("SELECT source FROM pg_settings WHERE name = 'max_parallel_workers'") == "default\n"
    assert processes(1) == 2


@pytest.mark.parametrize("scope", ["role", "database"])
def test_a_share_of_what_somebody_set(pair: Pair, processes: Processes, scope: str) -> None:
    change(pair, f"{scope}: max_parallel_workers = 12")
    assert [processes(workers) for workers in (1, 2, 3, 8)] == [12, 6, 4, 2]


def test_what_the_server_has_is_never_made_less(pair: Pair, processes: Processes) -> None:
    change(pair, "database: max_parallel_workers = 12", "role: max_parallel_maintenance_workers = 5")
    assert [processes(workers) for workers in (2, 3)] == [6, 5]


def test_parallel_builds_that_are_switched_off_stay_off(pair: Pair, processes: Processes) -> None:
    change(pair, "database: max_parallel_workers = 12", "database: max_parallel_maintenance_workers = 0")
    assert processes(1) == 0


OWN_EQUALITY = """
CREATE TYPE mood AS ENUM ('glad', 'GLAD');
CREATE FUNCTION alike(mood, mood) RETURNS bool LANGUAGE sql IMMUTABLE AS $$ SELECT lower($1::text) = lower($2::text) $$;
CREATE OPERATOR = (LEFTARG = mood, RIGHTARG = mood, FUNCTION = alike);
SET search_path = public, pg_catalog;
CREATE TABLE person (id int PRIMARY KEY, is_now mood);
INSERT INTO person VALUES (1, 'glad'), (2, 'GLAD'), (3, NULL);
CREATE INDEX not_glad ON person (id) WHERE is_now IS DISTINCT FROM 'glad'::mood;
CREATE INDEX glad_or_null ON person ((nullif(is_now, 'glad'::mood) IS NULL));
"""


def test_an_index_finds_the_operators_that_the_source_found(pair: Pair) -> None:
    pair.source.psql(OWN_EQUALITY)
    pair.load_all()
    used = (
        "SELECT d.objid::regclass::text, d.refobjid::regoperator::text FROM pg_depend d"
        " WHERE d.refclassid = 'pg_operator'::regclass AND d.classid = 'pg_class'::regclass ORDER BY 1, 2"
    )
    assert len(pair.source.rows(used)) == 2
    assert pair.target.rows(used) == pair.source.rows(used)
