"""The process of a run is killed around the swap: what is live is whole, the ledger agrees, the next run works."""

import signal
import subprocess
import sys
import time

import pytest

from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.swap.harness import LIVE, SHOP, Shop

pytestmark = pytest.mark.longer

# Dies before or after a function is called, as often as that was called before.
DYING = """
import importlib, os, signal, sys
from pg_migration.postgres.migration import Migration, Options, migrate

source, target, schemas, module, name, when, calls = sys.argv[1:]
holder, left = importlib.import_module(module), [int(calls)]
done = getattr(holder, name)

def dies(*arguments, **named):
    left[0] -= 1
    if left[0]:
        return done(*arguments, **named)
    if when == "after":
        done(*arguments, **named)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(holder, name, dies)
options = Options.model_validate({"refresh": "swap", "workers": 2, "reuse_unchanged": True})
migrate(Migration.between(source, target, schemas=schemas, options=options))
"""
EXCHANGE, STEP = "pg_migration.postgres.swap.exchange", "pg_migration.postgres.migration.steps.swap"
# Where it dies, and whether the new copy is live then.
PLACES = {
    "while tables are carried": ("pg_migration.postgres.swap.carrying", "_carry", "after", 3, False),
    "before the swap": (STEP, "swap_in", "before", 1, False),
    "before the first rename": (EXCHANGE, "_rename", "before", 1, False),
    "after two of four renames": (EXCHANGE, "_rename", "after", 2, False),
    "after all of them": (EXCHANGE, "_republish", "after", 1, False),
    "after the swap": (STEP, "swap_in", "after", 1, True),
    "after publications are made": (STEP, "_make_publications", "after", 1, True),
}
SESSIONS = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'pg_migration%'
   AND state <> 'idle'
"""


@pytest.fixture(scope="module")
def shop(postgres16: PostgresServer, postgres18: PostgresServer) -> Shop:
    made = Shop(postgres16, postgres18, (postgres16.create_database(), postgres18.create_database()))
    made.in_source(SHOP + "CREATE PUBLICATION p FOR TABLE ONLY customers")
    made.refreshed()
    return made


@pytest.mark.parametrize("place", PLACES)
def test_what_is_live_is_whole(shop: Shop, place: str) -> None:
    module, name, when, calls, swapped = PLACES[place]
    before = shop.live()
    batch = before if name == "_carry" else shop.fill()  # else nothing is carried
    killed = subprocess.run(
        [sys.executable, "-c", DYING, *shop.urls, LIVE, module, name, when, str(calls)],
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    deadline = time.monotonic() + 60
    while shop.in_target(SESSIONS) != "0":  # what the server notices late is undone late
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert shop.live() == (batch if swapped else before)
    assert shop.validated(against="ledger") == ()
    if swapped:
        assert shop.validated() == ()
    after, _ = shop.refreshed(reuse_unchanged=True)
    assert shop.live() == after
    assert shop.validated() == ()
    assert shop.validated(against="ledger") == ()
    assert shop.schemas_there() == "Sh.op Sh.op__previous crm crm__previous"
    assert shop.in_target("SELECT count(*) FROM pg_publication_tables") == "1"
    if swapped:
        assert (shop.back().failures, shop.live()) == ((), batch)
        assert shop.back().failures == ()
