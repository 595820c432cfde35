"""Collations."""

from collections.abc import Mapping

import pytest

CASES = {
    "libc": """
        CREATE COLLATION c (LOCALE = 'C');
        CREATE COLLATION mixed (LC_COLLATE = 'C', LC_CTYPE = 'POSIX');
        CREATE TABLE t (a text COLLATE c, b text COLLATE "POSIX");
        CREATE INDEX ON t (a COLLATE mixed);
    """,
}


@pytest.mark.parametrize("case", CASES)
def test_dumps_alike(together: Mapping[str, str], case: str) -> None:
    assert not together[case], together[case]
