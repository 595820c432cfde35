"""The demo's data arrives in the source, once."""

import pytest

from pg_migration.devtools.demo import flights
from pg_migration_tests.conftest import PostgresServer


def test_everything_is_loaded_once(postgres16: PostgresServer, source_db: str) -> None:
    assert flights.load(source_db)
    assert not flights.load(source_db)
    count = "SELECT count(*) FROM "
    assert [int(postgres16.psql(source_db, count + table)) for table in flights.TABLES] == [
        16,
        1458,
        3322,
        26115,
        336776,
    ]
    # NA in the files is NULL, and the digits are those of the file.
    assert postgres16.psql(source_db, "SELECT count(*) FROM flights WHERE dep_time IS NULL") == "8255\n"
    assert postgres16.psql(source_db, "SELECT wind_speed FROM weather WHERE id = 1") == "10.357019999999999\n"
    assert postgres16.psql(source_db, "SELECT made_up FROM flights WHERE id = 1") == "-9\n"
    # What there is to migrate.
    kinds = (
        "SELECT string_agg(DISTINCT contype::text, '') FROM pg_constraint WHERE connamespace = 'public'::regnamespace"
    )
    assert set(postgres16.psql(source_db, kinds).strip()) == set("cfpu")
    assert postgres16.psql(source_db, "SELECT last_value, is_called FROM flights_id_seq") == "336776|t\n"
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
