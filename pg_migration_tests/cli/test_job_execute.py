"""`dagster job execute`: its exit status tells the truth, and what it prints is for people."""

import shutil
from dataclasses import replace

import pytest

from pg_migration_tests.cli.conftest import Terminal
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.orchestration.harness import Database
from pg_migration_tests.programs import SCRIPTS

ROWS = "SELECT * FROM orders ORDER BY id"


@pytest.fixture(scope="module")
def terminal(shared_terminal: Terminal) -> Terminal:
    """One for all tests, those first that leave nothing behind."""
    return shared_terminal


def test_a_wrong_password(terminal: Terminal) -> None:
    before = terminal.target.dump()
    url = terminal.source.url.replace("postgres:", "postgres:x", 1)
    done = terminal.execute("migrate", PG_MIGRATION_SOURCE_URL=url)
    assert done.status != 0
    assert "can't connect to the source database postgresql://postgres@127.0.0.1" in done.output
    assert "password authentication failed" in done.output
    assert "Traceback" not in done.output
    assert terminal.target.dump() == before
    terminal.assert_secret(done.output)


def test_an_unknown_setting(terminal: Terminal) -> None:
    before = terminal.target.dump()
    done = terminal.execute("migrate", {"chunk_sise": 5})
    assert done.status != 0
    assert "chunk_sise" in done.output
    assert terminal.target.dump() == before
    terminal.assert_secret(done.output)


def test_a_table_with_other_columns_in_the_target(terminal: Terminal) -> None:
    terminal.target.psql("CREATE TABLE orders (id bigint PRIMARY KEY, customer bigint NOT NULL, placed date)")
    done = terminal.execute("migrate")
    assert done.status != 0
    assert "public.orders: column customer: type is integer in the source and bigint" in done.output
    assert "drop_existing_tables: true" in done.output
    assert "Traceback" not in done.output
    terminal.assert_secret(done.output)
    terminal.target.psql("DROP TABLE orders")


def test_migrate_then_validate(terminal: Terminal) -> None:
    done = terminal.starting.execute("migrate", {"partition_threshold": 1000, "max_partitions": 3})
    assert done.status == 0, done.output
    assert terminal.target.psql(ROWS) == terminal.source.psql(ROWS)
    assert terminal.target.psql("SELECT conname FROM pg_constraint WHERE contype = 'f'") == "orders_customer_fkey"
    *_, closing, last = [line for line in done.output.splitlines() if line.strip()]
    assert closing.startswith("| public.orders")
    assert [cell.strip() for cell in closing.split("|")][2] == "4,000"
    assert last.startswith("All that is copied or continued is of the source's snapshot of")
    assert "ERROR" not in done.output

    terminal.target.psql("DELETE FROM orders WHERE id = 3999")
    checked = terminal.execute("validate")
    assert checked.status != 0
    assert "public.orders: 4,000 rows in the source, 3,999 in the target" in checked.output
    terminal.assert_secret(done.output, checked.output)


@pytest.fixture
def other_target(postgres18: PostgresServer, target_db: str) -> Database:
    return Database(postgres18, target_db)


@pytest.mark.skipif(not (SCRIPTS / "dg").exists() and not shutil.which("dg"), reason="no dg in this environment")
@pytest.mark.longer
def test_dg_launch(terminal: Terminal, other_target: Database) -> None:
    terminal = replace(terminal, target=other_target)
    done = terminal.starting.run("dg", "launch", "--job", "migrate")
    assert done.status == 0, done.output
    assert terminal.target.psql(ROWS) == terminal.source.psql(ROWS)
