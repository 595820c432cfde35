"""What people are told when a server can't be reached."""

from urllib.parse import quote

import pytest

from pg_migration.postgres.connection.connections import connect
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.errors import ConnectionFailed
from pg_migration_tests.conftest import PostgresServer

ADDRESS = "Check host, port, database, user and password in the target URL, and that the server is up."
CERTIFICATES = "Check sslmode, sslrootcert, sslcert and sslkey in the target URL."


@pytest.mark.parametrize(
    ("options", "reason", "advice"),
    [
        ("?sslmode=require", "server does not support SSL", CERTIFICATES),
        ("?sslmode=verify-full&sslrootcert=/nowhere/ca.pem", "SSL", CERTIFICATES),
        ("_that_is_none", "does not exist", ADDRESS),
    ],
)
def test_advice_is_about_the_reason(postgres16: PostgresServer, options: str, reason: str, advice: str) -> None:
    with pytest.raises(ConnectionFailed) as refused:
        connect(Endpoint.parse(Side.TARGET, postgres16.url() + options, "URL"), "tests")
    assert reason in str(refused.value)
    assert str(refused.value).endswith(advice)
    assert quote(postgres16.server.password) not in str(refused.value)
