"""What readers see of a copy that is refreshed: half of it where it is filled in place, never where it is swapped."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg2
import pytest

from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.swap.harness import ROWS, SHOP, Shop, asked


@pytest.fixture(scope="module")
def shop(postgres16: PostgresServer, postgres18: PostgresServer) -> Shop:
    made = Shop(postgres16, postgres18, (postgres16.create_database(), postgres18.create_database()))
    made.in_source(SHOP)
    made.refreshed()
    return made


def read_again_and_again(shop: Shop, statement: str, prepared: bool, told: list[str], ended: threading.Event) -> None:
    """Read until the end; what is neither of one batch nor all of it is told, and so is an error."""
    with shop.session() as session:
        if prepared:
            with session.cursor() as cursor:
                cursor.execute(f"PREPARE p AS {statement}")
            statement = "EXECUTE p"
        reads = 0
        while not ended.is_set():
            try:
                found = asked(session, statement)
            except psycopg2.Error as error:
                told.append(f"{error.pgcode} {error}")
                continue
            rows, least, most = found.split()
            if rows != str(ROWS) or least != most:
                told.append(f"{statement}: {found}")
            reads += 1
        told.append(f"reads {reads}")


READS = {
    "simple": ('SELECT count(*), min(batch), max(batch) FROM "Sh.op".customers', False),
    "prepared": ('SELECT count(*), min(batch), max(batch) FROM "Sh.op".customers', True),
    "join": (
        'SELECT count(*), min(c.batch), max(n.batch) FROM "Sh.op".customers c JOIN crm.notes n ON n.customer = c.id',
        False,
    ),
    "view": ("SELECT count(*), min(batch), max(batch) FROM around", True),
}


def read_with_a_cursor(shop: Shop, told: list[str], ended: threading.Event) -> None:
    """Read in portions: one transaction has one copy, though another becomes live meanwhile."""
    reads = 0
    with shop.session(autocommit=False) as session:
        while not ended.is_set():
            with session.cursor() as cursor:
                cursor.execute('DECLARE c CURSOR FOR SELECT batch FROM "Sh.op"."or%ders"')
                batches: list[int] = []
                while not ended.is_set():
                    cursor.execute("FETCH 50 FROM c")
                    if not (portion := cursor.fetchall()):
                        break
                    batches += [batch for (batch,) in portion]
                    time.sleep(0.01)
                if not ended.is_set() and (len(batches) != ROWS or len(set(batches)) != 1):
                    told.append(f"cursor: {len(batches)} rows of {set(batches)}")
                reads += 1
            session.rollback()
    told.append(f"reads {reads}")


@contextmanager
def readers(shop: Shop, told: Mapping[str, list[str]]) -> Iterator[None]:
    """Readers of all kinds throughout the block; what was wrong is told of each, and at last how often it has read."""
    shop.in_target('CREATE VIEW public.around AS SELECT id, batch FROM "Sh.op".customers')
    ended = threading.Event()
    reading = [
        *(
            threading.Thread(target=read_again_and_again, args=(shop, statement, prepared, told[name], ended))
            for name, (statement, prepared) in READS.items()
        ),
        threading.Thread(target=read_with_a_cursor, args=(shop, told["cursor"], ended)),
    ]
    for reader in reading:
        reader.start()
    try:
        yield
    finally:
        ended.set()
        for reader in reading:
            reader.join()
        shop.in_target("DROP VIEW public.around")


def nothing() -> Mapping[str, list[str]]:
    return {name: [] for name in (*READS, "cursor")}


@pytest.mark.longer
def test_readers_see_a_whole_copy_all_the_time(shop: Shop) -> None:
    told = nothing()
    with readers(shop, told):
        for _ in range(2):
            shop.refreshed()
    for name, lines in told.items():
        (line,) = lines
        assert int(line.removeprefix("reads ")) > 5, name


@pytest.mark.longer
def test_both_ways_are_measured(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """The same load, in several chunks of each table; the figures are logged."""
    caplog.set_level(logging.INFO, __name__)
    wrong = dict[str, int]()
    for refresh in ("in_place", "swap"):
        told = nothing()
        with readers(shop, told):
            for _ in range(3):
                shop.refreshed(refresh=refresh, partition_threshold=50, chunk_size=50)
        lines = [line for name, lines in told.items() if name != "cursor" for line in lines]
        reads = sum(int(line.removeprefix("reads ")) for line in lines if line.startswith("reads "))
        wrong[refresh] = sum(not line.startswith("reads ") for line in lines)
        logging.getLogger(__name__).info("%s: %s of %s reads were wrong or failed", refresh, wrong[refresh], reads)
    assert wrong["swap"] == 0
    assert wrong["in_place"] > 0
