"""The demo's data arrives in the source, once."""

from pathlib import Path

import pytest

from pg_migration.devtools.demo import flights
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.devtools.few_flights import FLIGHTS, use_few_flights

SMALL_TABLES = [16, 1458, 3322, 26115]


def counts(server: PostgresServer, url: str) -> list[int]:
    return [int(server.psql(url, f"SELECT count(*) FROM {table}")) for table in flights.TABLES]


def test_what_is_loaded_once(
    postgres16: PostgresServer, source_db: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_few_flights(monkeypatch, tmp_path)
    assert flights.load(source_db)
    assert not flights.load(source_db)
    assert counts(postgres16, source_db) == [*SMALL_TABLES, FLIGHTS]
    # NA in the files is NULL, and the digits are those of the file.
    assert postgres16.psql(source_db, "SELECT count(*) FROM flights WHERE dep_time IS NULL") == "12\n"
    assert postgres16.psql(source_db, "SELECT wind_speed FROM weather WHERE id = 1") == "10.357019999999999\n"
    assert postgres16.psql(source_db, "SELECT made_up FROM flights WHERE id = 1") == "-9\n"
    # What there is to migrate.
    kinds = (
        "SELECT string_agg(DISTINCT contype::text, '') FROM pg_constraint WHERE connamespace = 'public'::regnamespace"
    )
    assert set(postgres16.psql(source_db, kinds).strip()) == set("cfpu")
    assert postgres16.psql(source_db, "SELECT last_value, is_called FROM flights_id_seq") == f"{FLIGHTS}|t\n"
    assert int(postgres16.psql(source_db, "SELECT count(*) FROM carrier_delays")) > 10
    assert int(postgres16.psql(source_db, "SELECT count(*) FROM routes")) > 100


@pytest.mark.system
@pytest.mark.deployment
def test_all_flights(postgres16: PostgresServer, source_db: str) -> None:
    assert flights.load(source_db)
    assert counts(postgres16, source_db) == [*SMALL_TABLES, 336_776]
    assert postgres16.psql(source_db, "SELECT count(*) FROM flights WHERE dep_time IS NULL") == "8255\n"
    assert int(postgres16.psql(source_db, "SELECT count(*) FROM carrier_delays")) == 16
    assert int(postgres16.psql(source_db, "SELECT count(*) FROM routes")) == 224


def test_a_missing_package_is_named(source_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flights, "PACKAGE", "no-such-package")
    with pytest.raises(flights.DataMissing, match="no-such-package is missing"):
        flights.load(source_db)


def test_a_missing_file_is_named(source_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flights, "TABLES", {"airlines": "trains.csv"})
    with pytest.raises(flights.DataMissing, match=r"holds no file trains\.csv"):
        flights.load(source_db)
