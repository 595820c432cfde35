"""Whatever a password holds: either libpq reads it as the password, or the address is refused, and nobody sees it."""

import itertools
from pathlib import Path

import pytest
from psycopg2.extensions import parse_dsn

from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.errors import ConfigurationError

PIECES = ("Zk3x", "9xQ7secret", "Tail54")
SPECIAL = "/@:?#[]%&=+ ,;!$'\"\\<>()*~^|{}\t\n"
PASSWORDS = [
    *(f"{PIECES[0]}{one}{PIECES[1]}" for one in SPECIAL),
    *(f"{one}{PIECES[1]}" for one in SPECIAL),
    *(f"{PIECES[1]}{one}" for one in SPECIAL),
    *(f"{PIECES[0]}{a}{PIECES[1]}{b}{PIECES[2]}" for a, b in itertools.product("/@?:#%,[=", repeat=2)),
    # What looks like a port, or like parameters, where the rest of the password follows.
    "5432/9xQ7secret",
    "/9xQ7secret",
    "12/34/9xQ7secret",
    "12?application_name=9xQ7secret",
    "12/db?application_name=9xQ7secret",
    "12/db?user=9xQ7secret",
    "%2F9xQ7secret%zz",
    "99999/9xQ7secret",
]
URIS = [
    "postgresql://user:{}@localhost:5432/shop",
    "postgres://user:{}@localhost/shop?sslmode=disable",
    "postgresql://user:{}@[::1]:5432/shop",
    "postgresql://user:{}@one,two:5433/shop",
    "postgresql://user:{}@/shop?host=/tmp",
    "postgresql:///shop?user=user&password={}",
    "postgresql://localhost/shop?password={}&user=user",
]
PAIRS = ["host=localhost user=user password={} dbname=shop", "password={}", "user=user dbname=shop password = {}"]


def pieces_in(text: str) -> list[str]:
    return [piece for piece in PIECES if piece in text]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "PGHOST",
        "PGHOSTADDR",
        "PGPORT",
        "PGDATABASE",
        "PGUSER",
        "PGSERVICE",
        "PGSERVICEFILE",
        "PGSYSCONFDIR",
    ):
        monkeypatch.delenv(name, raising=False)


def told_of(side: Side, text: str, password: str) -> str:
    """What people are told of an address: where it is, or why it is refused."""
    try:
        found = Endpoint.parse(side, text, "PG_MIGRATION_URL")
    except ConfigurationError as refusal:
        return str(refusal)
    assert pieces_in(found.parameters["password"]) == pieces_in(password)
    libpq = found.scrub(f"libpq said: {found.parameters['password']}")
    return f"{found.description} {found.place} {found!r} {libpq}"


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("form", [*URIS, *PAIRS])
def test_no_piece_of_a_password_is_told(form: str, side: Side) -> None:
    for password in PASSWORDS:
        assert not pieces_in(told_of(side, form.format(password), password)), password


@pytest.mark.parametrize(
    "text", ["postgresql://user:Zk3x/9xQ7@localhost/shop", "postgresql://user:Zk3x@9xQ7@localhost/"]
)
def test_a_refusal_says_what_to_do(text: str) -> None:
    with pytest.raises(ConfigurationError, match="a / in a password is written %2F, an @ %40"):
        Endpoint.parse(Side.SOURCE, text, "URL")


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://us%3Aer%3A9xQ7secret@localhost/shop",
        "postgresql://user:9xQ7secret/shop",
        "postgresql://localhost:70000/shop",
        "postgresql://localhost:0/shop",
        "dbname=shop@9xQ7secret",
        "dbname=postgresql://user:9xQ7secret@localhost/shop",
        "host=user:9xQ7secret dbname=shop",
        "host='a b' dbname=shop",
        "port=' 9xQ7secret'",
        "postgresql://localhost/shop?host=9xQ7%40secret",
        "postgresql://localhost/shop?application_name=me@9xQ7secret",
        "postgresql://user@9xQ7secret@localhost/shop",
    ],
)
def test_other_things_that_are_misread(text: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        Endpoint.parse(Side.SOURCE, text, "URL")
    assert "9xQ7" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("postgresql://ann:p%2Fw%40@db-1.example.com:5433/shop", "postgresql://ann@db-1.example.com:5433/shop"),
        ("postgresql://ann%40azure:x@h/shop", "postgresql://ann%40azure@h/shop"),
        ("postgresql:///shop?host=h&user=ann@azure&password=a@b", "postgresql://ann%40azure@h/shop"),
        ("postgresql://ann@h/odd%40name", "postgresql://ann@h/odd@name"),
        ("postgresql://ann%3Ax:pw@h/shop", "postgresql://ann%3Ax@h/shop"),
        ("postgresql://%2Fvar%2Frun/shop", "postgresql:///var/run/shop"),
        ("host=/tmp/with@sign dbname=shop", "postgresql:///tmp/with@sign/shop"),
        ("postgresql://[fe80::1%25eth0]:5432/shop", "postgresql://fe80::1%eth0:5432/shop"),
        ("hostaddr=10.0.0.1 dbname='my db'", "postgresql://10.0.0.1/my db"),
        ("postgresql://a:1,b:2/shop", "postgresql://a,b:1,2/shop"),
        ("host=wörld_1 user=ann", "postgresql://ann@wörld_1/ann"),
    ],
)
def test_what_is_meant_so_is_taken(text: str, told: str) -> None:
    assert Endpoint.parse(Side.SOURCE, text, "URL").description == told


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A service file with some services in it."""
    file = tmp_path / "services"
    file.write_text(
        "# ours\n[old]\nhost=one\nport=5433\ndbname=shop\npassword=9xQ7secret\nhost=never\n\n"
        "[new]\nhost=two\n# user=nobody\ndbname=shop\n[bad]\nhost=user:9xQ7secret\n[nowhere]\nsslmode=disable\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    return file


@pytest.mark.usefixtures("services")
@pytest.mark.parametrize(
    ("text", "place", "description"),
    [
        ("service=old", "one:5433/shop", "postgresql://one:5433/shop"),
        ("service=new", "two:5432/shop", "postgresql://two/shop"),
        ("service=old dbname=other user=ann", "one:5433/other", "postgresql://ann@one:5433/other"),
        ("postgresql://?service=old", "one:5433/shop", "postgresql://one:5433/shop"),
        ("service=unknown", "service=unknown", "service=unknown"),
        ("service=nowhere", "service=nowhere", "service=nowhere"),
    ],
)
def test_a_service_is_what_its_file_says(text: str, place: str, description: str) -> None:
    found = Endpoint.parse(Side.SOURCE, text, "URL")
    assert (found.place, found.description) == (place, description)


@pytest.mark.usefixtures("services")
def test_a_secret_of_a_service_file_is_not_told() -> None:
    assert Endpoint.parse(Side.SOURCE, "service=old", "URL").scrub("said 9xQ7secret") == "said ***"


def test_libpq_reads_a_service_file_in_the_same_way(services: Path, source_db: str) -> None:
    known = parse_dsn(source_db)
    services.write_text("[live]\n" + "".join(f"{name}={value}\n" for name, value in known.items()))
    end = Endpoint.parse(Side.SOURCE, "service=live", "URL")
    with Connections("test") as connections:
        assert end.reached(connections.open(end)) == end.description
    assert end.place == f"{known['host']}:{known['port']}/{known['dbname']}"


@pytest.mark.usefixtures("services")
def test_a_service_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSERVICE", "new")
    monkeypatch.setenv("PGPORT", "6000")
    monkeypatch.setenv("PGHOST", "elsewhere")
    assert Endpoint.parse(Side.SOURCE, "user=ann", "URL").place == "two:6000/shop"


@pytest.mark.usefixtures("services")
def test_a_service_file_that_is_misread() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        Endpoint.parse(Side.SOURCE, "service=bad", "URL")
    assert "9xQ7" not in str(refusal.value)


def test_addresses_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "here")
    monkeypatch.setenv("PGDATABASE", "shop")
    assert Endpoint.parse(Side.SOURCE, "user=ann", "URL").place == "here:5432/shop"
    monkeypatch.setenv("PGHOST", "user:9xQ7secret")
    with pytest.raises(ConfigurationError) as refusal:
        Endpoint.parse(Side.SOURCE, "user=ann", "URL")
    assert "9xQ7" not in str(refusal.value)


def test_a_message_that_repeats_a_password_as_it_is_or_as_it_was_written() -> None:
    end = Endpoint.parse(Side.SOURCE, "postgresql://ann:s%2Fe%20same@localhost/shop", "URL")
    assert end.scrub("neither s/e same nor s%2Fe%20same, of ann") == "neither *** nor ***, of ann"
