"""Nobody sees a password in a statement, whatever the names around it are."""

import pytest

from pg_migration.postgres.catalog.secrets import without_secrets

CASES = (
    (
        "subscription",
        r"""CREATE SUBSCRIPTION "it's" CONNECTION E'password=''my sesame\\''' PUBLICATION "p" WITH (a = 'b')""",
    ),
    ("subscription", """CREATE SUBSCRIPTION s CONNECTION 'sesame' PUBLICATION "CONNECTION 'x'", "y'" WITH (a = 'b')"""),
    (
        "user mapping",
        """CREATE USER MAPPING FOR "it's" SERVER "OPTIONS (" OPTIONS ("user" 'b', "password" 'sesame''')""",
    ),
    ("user mapping", r"""CREATE USER MAPPING FOR x SERVER "y'" OPTIONS ("Odd ""option'" E'sesame\\', "user" 'b')"""),
    ("server", """CREATE SERVER "password 'x" FOREIGN DATA WRAPPER w OPTIONS ("sslpassword" 'sesame', "host" 'b')"""),
    ("foreign table", """CREATE FOREIGN TABLE t () SERVER s OPTIONS ("api_key" 'sesame', "x" 'b')"""),
    ("foreign-data wrapper", """CREATE FOREIGN DATA WRAPPER w OPTIONS ("Token" 'sesame', "x" 'b')"""),
)


@pytest.mark.parametrize(("kind", "statement"), CASES)
def test_secrets_are_not_shown(kind: str, statement: str) -> None:
    shown = without_secrets(kind, "x", statement)
    assert "sesame" not in shown
    assert "'***'" in shown
    assert "'b'" in shown
    assert without_secrets("settings", f"{kind} x", statement) == shown


def test_other_statements_are_as_they_are() -> None:
    statement = "ALTER TABLE t ALTER password SET DEFAULT 'x'"
    assert without_secrets("default", "password", statement) == statement
