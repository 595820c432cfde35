"""What the daemon watches: changes of the source's structure, and of its rows."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pg_migration.orchestration.automation import source_rows
from pg_migration.orchestration.notifications import notify
from pg_migration.postgres.source_changes.structure import changes
from pg_migration_tests.orchestration.harness import Platform, Run


class Watcher:
    """One sensor over its ticks, as the daemon evaluates it."""

    def __init__(self, platform: Platform, name: str) -> None:
        self._platform = platform
        self._name = name
        self._cursor: str | None = None

    def tick(self) -> tuple[str | None, list[dg.RunRequest]]:
        """Why it skipped, and what it wants to be run."""
        repository = self._platform.definitions.get_repository_def()
        with dg.build_sensor_context(
            self._platform.instance, self._cursor, repository_def=repository, sensor_name=self._name
        ) as context:
            found: Any = repository.get_sensor_def(self._name).evaluate_tick(context)
        self._cursor = found.cursor or self._cursor
        return found.skip_message, list(found.run_requests or ())

    def run(self, request: dg.RunRequest) -> Run:
        """Run what it wants."""
        job = self._platform.definitions.resolve_job_def(request.job_name or "migrate")
        assert not request.run_config
        return self._platform.run(job, {}, asset_selection=request.asset_selection, tags=dict(request.tags))


@pytest.fixture
def rows(shop: Platform) -> Watcher:
    return Watcher(shop, "source_rows_changed")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[notify.Message]]:
    """Messages that would have gone to the channels."""
    messages: list[notify.Message] = []
    monkeypatch.setattr(notify, "send", lambda message, *_: messages.append(message))
    return messages


def selected(requests: list[dg.RunRequest]) -> list[str] | None:
    (request,) = requests
    return None if request.asset_selection is None else [key.to_user_string() for key in request.asset_selection]


def test_both_are_off(idle_shop: Platform) -> None:
    repository = idle_shop.definitions.get_repository_def()
    for name in ("source_structure_changed", "source_rows_changed"):
        assert repository.get_sensor_def(name).default_status is dg.DefaultSensorStatus.STOPPED
    assert repository.get_sensor_def("failed_runs").default_status is dg.DefaultSensorStatus.RUNNING


def test_tables_that_were_written_to_are_copied(shop: Platform, rows: Watcher) -> None:
    assert rows.tick() == ("2 tables; they are watched from now on", [])
    _, requests = rows.tick()
    assert selected(requests) is None, "nothing was copied yet: all of it"
    assert rows.run(requests[0]).success
    assert rows.tick() == ("nothing was written to since it was copied", [])

    shop.source.psql("UPDATE orders SET placed = '2020-02-02' WHERE id = 5; SELECT pg_stat_force_next_flush()")
    _, requests = rows.tick()
    assert selected(requests) == ["public/orders"]
    done = rows.run(requests[0])
    assert done.success
    assert done.passed == {"public/orders": True}
    assert shop.target.psql("SELECT placed FROM orders WHERE id = 5") == "2020-02-02"
    assert shop.target.psql("SELECT conname FROM pg_constraint WHERE contype = 'f'") == "orders_customer_fkey"
    assert rows.tick()[1] == []


def test_what_statistics_do_not_count(shop: Platform, rows: Watcher) -> None:
    """TRUNCATE counts no row; after a reset all counts are lost."""
    rows.tick()
    assert shop.migrate_directly().succeeded
    assert rows.tick()[1] == []
    shop.source.psql("TRUNCATE orders")
    assert selected(rows.tick()[1]) == ["public/orders"]
    shop.source.psql("SELECT pg_stat_reset()")
    assert selected(rows.tick()[1]) is None


def test_a_copy_that_failed_is_no_copy(shop: Platform, rows: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_rows, "WATCH_INTERVAL_SECONDS", 0)
    rows.tick()
    shop.after("tables", lambda: shop.target.psql("DELETE FROM orders WHERE id = 7"))
    assert not shop.migrate().success
    _, requests = rows.tick()
    assert selected(requests) is None
    _, again = rows.tick()
    assert [request.run_key for request in again] == [request.run_key for request in requests], "asked for once"


def test_what_failed_is_tried_again_later_and_later(
    shop: Platform, rows: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = shop.definitions.resolve_job_def("migrate")

    def end(failed: bool) -> str:
        run = shop.instance.create_run_for_job(job)
        (shop.instance.report_run_failed if failed else shop.instance.report_run_canceled)(run)
        return run.run_id

    rows.tick()
    _, (first,) = rows.tick()
    failed = end(failed=True)
    message, requests = rows.tick()
    assert f"run {failed} failed: the next one is started in" in (message or "")
    assert requests == []
    monkeypatch.setattr(source_rows, "WATCH_INTERVAL_SECONDS", 0)  # as if it were later
    _, (second,) = rows.tick()
    assert second.run_key != first.run_key
    end(failed=True)
    _, (third,) = rows.tick()
    assert third.run_key not in (first.run_key, second.run_key)
    monkeypatch.setattr(source_rows, "WATCH_INTERVAL_SECONDS", 10**6)
    assert "failed, as did the 1 before it: the next" in (rows.tick()[0] or "")
    monkeypatch.setattr(source_rows, "MAX_WAITING_SECONDS", 0)
    assert rows.tick()[1], "there is an end to waiting longer and longer"
    end(failed=False)
    _, (canceled,) = rows.tick()
    assert canceled.run_key == first.run_key, "the daemon starts no key twice, so what somebody has stopped stays so"


def test_a_run_that_has_not_ended(shop: Platform, rows: Watcher) -> None:
    rows.tick()
    run = shop.instance.create_run_for_job(shop.definitions.resolve_job_def("migrate"))
    assert rows.tick() == (f"run {run.run_id} has not ended yet", [])


def test_tables_that_the_configuration_leaves_out(shop: Platform, rows: Watcher, tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("resources: {migration: {config: {exclude_tables: ['orders']}}}")
    shop.set(RUN_CONFIG=str(config))
    assert rows.tick() == ("1 tables; they are watched from now on", [])
    assert shop.migrate_directly(exclude_tables=["orders"]).succeeded
    assert rows.tick()[1] == []
    shop.source.psql("INSERT INTO orders VALUES (0, 1); DELETE FROM orders WHERE id > 3000")
    assert rows.tick()[1] == []


def test_a_copy_that_is_swapped_is_made_as_a_whole(shop: Platform, rows: Watcher, tmp_path: Path) -> None:
    """A run of chosen tables would be refused; the others come from the live copy."""
    options = {"refresh": "swap", "reuse_unchanged": True}
    config = tmp_path / "run.yaml"
    config.write_text(json.dumps({"resources": {"migration": {"config": options}}}))
    shop.set(RUN_CONFIG=str(config))
    rows.tick()
    assert shop.migrate(**options).success
    assert rows.tick()[1] == []
    shop.source.psql("UPDATE orders SET placed = '2020-02-02' WHERE id = 5; SELECT pg_stat_force_next_flush()")
    _, requests = rows.tick()
    assert selected(requests) is None
    assert requests[0].run_config["resources"]["migration"]["config"] == options
    done = shop.migrate(**options)
    assert done.success
    summary = str(done.metadata("summary"))
    assert "carried from the live copy: 1 chunks, since run " in summary
    assert "copied, as the source's statistics have counted writes" in summary
    assert rows.tick()[1] == []


CHANGES_OF_LARGE_OBJECTS = [
    "SELECT lo_put(4711, 1, 'x')",
    "SELECT lo_from_bytea(4712, 'two')",
    "ALTER LARGE OBJECT 4711 OWNER TO pg_database_owner",
    "GRANT SELECT ON LARGE OBJECT 4711 TO PUBLIC",
    "SELECT lo_unlink(4711)",
]


@pytest.mark.longer
def test_large_objects_that_were_written_to(shop: Platform, rows: Watcher, tmp_path: Path) -> None:
    shop.source.psql("SELECT lo_from_bytea(4711, 'one')")
    assert rows.tick() == ("2 tables and the large objects; they are watched from now on", [])
    assert shop.migrate_directly().succeeded
    assert rows.tick()[1] == []
    shop.source.psql("UPDATE orders SET placed = '2020-02-02' WHERE id = 5; SELECT pg_stat_force_next_flush()")
    assert selected(rows.tick()[1]) == ["public/orders"]
    shop.source.psql(f"{CHANGES_OF_LARGE_OBJECTS[0]}; SELECT pg_stat_force_next_flush()")
    _, requests = rows.tick()
    assert selected(requests) == ["large_objects", "public/orders"]
    assert rows.run(requests[0]).success
    assert shop.target.psql("SELECT lo_get(4711)") == r"\x6f7865"
    assert rows.tick()[1] == [], "a run over some assets has copied all large objects"
    assert shop.migrate_directly(large_objects=False).succeeded
    for statement in CHANGES_OF_LARGE_OBJECTS:
        assert rows.tick()[1] == [], "a run that left them out takes nothing back"
        shop.source.psql(f"{statement}; SELECT pg_stat_force_next_flush()")
        assert selected(rows.tick()[1]) == ["large_objects"], statement
        assert shop.migrate_directly().succeeded
    config = tmp_path / "run.yaml"
    config.write_text("resources: {migration: {config: {large_objects: false}}}")
    shop.set(RUN_CONFIG=str(config))
    shop.source.psql("SELECT lo_from_bytea(4713, 'three'), pg_stat_force_next_flush()")
    assert rows.tick()[1] == []


@pytest.mark.parametrize("name", ["source_rows_changed", "source_structure_changed"])
def test_a_source_that_is_down(idle_shop: Platform, name: str) -> None:
    assert idle_shop.definitions
    idle_shop.monkeypatch.setenv("PG_MIGRATION_SOURCE_URL", "postgresql://ann:sesame@127.0.0.1:1/shop")
    message, requests = Watcher(idle_shop, name).tick()
    assert "can't connect to the source" in (message or "")
    assert "sesame" not in (message or "")
    assert not requests


def test_changes_of_the_structure(shop: Platform, told: list[notify.Message]) -> None:
    watcher = Watcher(shop, "source_structure_changed")
    assert "changes are told from now on" in (watcher.tick()[0] or "")
    assert watcher.tick() == ("nothing changed", [])
    shop.source.psql("""
        ALTER TABLE orders ADD COLUMN note text, ALTER COLUMN placed TYPE timestamp, DROP COLUMN customer;
        DROP INDEX IF EXISTS orders_placed;
        CREATE TABLE lines (id integer PRIMARY KEY);
        CREATE VIEW names AS SELECT name FROM customers
    """)
    message, _ = watcher.tick()
    lines = (message or "").splitlines()
    assert "new: table public.lines" in lines
    assert "new: column public.orders.note text" in lines
    assert "gone: column public.orders.customer" in lines
    assert "gone: index orders_placed on public.orders" in lines
    assert "changed: column public.orders.placed was date, is timestamp without time zone" in lines
    assert any(line.startswith("new: view public.names") for line in lines)
    assert not any("lines.id" in line or line.startswith("changed: table") for line in lines)
    assert "new: table public.lines" in told[0].text
    assert "reload the code location" in told[0].text
    assert watcher.tick() == ("nothing changed", [])


# What belongs to the whole database: how it comes about, and how it is told.
OF_THE_DATABASE = {
    "CREATE SCHEMA later; CREATE TABLE later.t (a int)": ["schema later", "table later.t"],
    "CREATE PUBLICATION p FOR TABLE orders": ["publication p", "publication table p on public.orders"],
    "CREATE FUNCTION told() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; "
    "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION told()": ["event trigger e"],
    "CREATE CAST (point AS int) WITH INOUT": ['cast "point" AS integer'],
    "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE USER MAPPING FOR PUBLIC SERVER s": [
        "foreign-data wrapper w",
        "server s",
        "user mapping for PUBLIC on server s",
    ],
    "ALTER DATABASE {database} SET work_mem = 5000": ["database setting work_mem"],
    "COMMENT ON DATABASE {database} IS 'ours'": ["database comment"],
    "GRANT CREATE ON DATABASE {database} TO PUBLIC": ["privileges of database"],
    "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC": ["default privileges of postgres on new tables"],
    "CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler": ["access method heap2"],
}


def test_changes_of_what_belongs_to_the_whole_database(shop: Platform, told: list[notify.Message]) -> None:
    shop.set(SOURCE_SCHEMA="*")
    watcher = Watcher(shop, "source_structure_changed")
    watcher.tick()
    name = shop.source.psql("SELECT quote_ident(current_database())")
    shop.source.psql(";\n".join(OF_THE_DATABASE).replace("{database}", name))
    lines = (watcher.tick()[0] or "").splitlines()
    for expected in OF_THE_DATABASE.values():
        assert {f"new: {what}" for what in expected} <= set(lines)
    shop.source.psql(
        "DROP EVENT TRIGGER e; DROP SCHEMA later CASCADE; ALTER PUBLICATION p SET (publish = 'insert');"
        "ALTER DEFAULT PRIVILEGES GRANT INSERT ON TABLES TO PUBLIC"
    )
    assert {line for line in (watcher.tick()[0] or "").splitlines() if "owner" not in line} == {
        "gone: event trigger e",
        "gone: schema later",
        "gone: table later.t",
        "changed: publication p",
        "changed: default privileges of postgres on new tables",
    }
    assert len(told) == 2


def test_a_table_that_only_its_own_definition_tells_of() -> None:
    assert changes({"table a.t": "1"}, {"table a.t": "2"}) == ["changed: table a.t"]
    assert changes({"table a.t": "1", "column a.t.c": "x"}, {}) == ["gone: table a.t"]
