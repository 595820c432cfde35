"""When a database is the one that it was: after a failover, a new address, an upgrade in place; and when it is not."""

from dataclasses import replace

import pytest

from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.ledger.source_identity import Identity, place_in

THEN = Identity("7001", 16, 5, "shop", ("db1:5432/shop",))


@pytest.mark.parametrize(
    ("what", "now", "differs"),
    [
        ("nothing", THEN, None),
        ("failover", replace(THEN, places=("db2:5432/shop",)), None),
        ("renamed database", replace(THEN, name="store", places=("db1:5432/store",)), None),
        ("made anew under its name", replace(THEN, database=9), None),
        ("pg_upgrade in place", replace(THEN, system="7002", major=17, database=9), None),
        ("role may not ask, same place", replace(THEN, system=None), None),
        ("one of two addresses", replace(THEN, system=None, places=("db1:5432/shop", "vip:5432/shop")), None),
        ("role may not ask, other place", replace(THEN, system=None, places=("db2:5432/shop",)), "at another address"),
        ("other database", replace(THEN, database=9, name="copy"), "another database of this server, shop"),
        ("other server", replace(THEN, system="7002", places=("db2:5432/shop",)), "on another server, db1:5432/shop"),
        ("other server at the address", replace(THEN, system="7002"), "on another server that was at this address"),
        ("older server at the address", replace(THEN, system="7002", major=15), "on another server that was at this"),
        (
            "newer server elsewhere",
            replace(THEN, system="7002", major=17, places=("db2:1/shop",)),
            "on another server,",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value != value.upper() else "",
)
def test_the_same_database(what: str, now: Identity, differs: str | None) -> None:
    found = now.differs_from(Identity.recorded(THEN.as_record()))
    assert (found or "").startswith(differs or ""), what
    assert (found is None) == (differs is None), what


@pytest.mark.parametrize(
    ("description", "place"),
    [
        ("postgresql://ann@h:5433/shop", "h:5433/shop"),
        ("postgresql://h/shop", "h:5432/shop"),
        ("postgresql://ann%40b@h/odd@name", "h:5432/odd@name"),
        ("postgresql://127.0.0.1:5432/shop", "localhost:5432/shop"),
        ("postgresql://ann@/var/run:5433/shop", "localhost:5433/shop"),
        ("postgresql://::1:5432/shop", "localhost:5432/shop"),
        ("postgresql://a,b:1,2/shop", "a,b:1,2/shop"),
        ("postgresql://localhost/", "localhost:5432/"),
        ("service=old", "service=old"),
    ],
)
def test_places(description: str, place: str) -> None:
    assert place_in(description) == place


def test_a_server_tells_who_it_is(source_db: str) -> None:
    end = Endpoint.parse(Side.SOURCE, source_db, "URL")
    with Connections("test") as connections:
        found = Identity.of(connections.open(end), end)
    assert found.system is not None
    assert found.system.isdigit()
    assert found.name == source_db.rpartition("/")[2]
    assert Identity.recorded(found.as_record()) == found
