"""An address as a URI is the same address, in a form that means nothing else in any file."""

import re

import pytest
from psycopg2.extensions import parse_dsn

from pg_migration.postgres.connection.endpoint import Endpoint, Side

ADDRESSES = [
    "postgresql://old/shop",
    "postgresql://reader@old:5433/shop",
    "postgresql://reader:s%2Fe%40s%3Aame%20%25@old/shop?sslmode=require&application_name=a%20b",
    r"""host=old password='it\'s ${HOME} # \\ " secret' user='o\'brien' dbname=shop""",
    "host=/var/run/postgresql dbname=shop user=x",
    "host=::1 port=5433 dbname=shop",
    "host=one,two port=5432,5433 dbname=shop target_session_attrs=read-write",
    "service=old password=secret",
    "user=ann",
    "password=secret",
    "postgresql:///?host=old&dbname=表",
]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("database", ["shop", "odd \"name' %s/@?#", "表"])
def test_a_uri_is_the_same_address(address: str, database: str) -> None:
    end = Endpoint.parse(Side.SOURCE, address, "SOURCE").at(database)
    assert parse_dsn(end.uri) == {**parse_dsn(address), "dbname": database}
    assert Endpoint.parse(Side.SOURCE, end.uri, "SOURCE") == end
    assert re.fullmatch(r"[\w:/@.?&=%,~-]+", end.uri, re.ASCII)
