"""Objects of every kind arrive as they are; the cases of a kind are in a module of its own."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules

import pytest

from pg_migration_tests.postgres.ddl import kinds
from pg_migration_tests.postgres.ddl.conftest import ENDS, ends
from pg_migration_tests.postgres.ddl.round_trip import Pair, assert_arrived
from pg_migration_tests.postgres.ddl.together import verdicts


def cases() -> Iterator[tuple[str, str]]:
    """The DDL of each case, by kind and name."""
    for kind in iter_modules(kinds.__path__):
        if not kind.name.startswith("test_"):
            for name, ddl in import_module(f"{kinds.__name__}.{kind.name}").CASES.items():
                yield f"{kind.name}: {name}", ddl


CASES = dict(cases())
COLUMNS = """
    SELECT format('%s.%s.%s.%s', attrelid::regclass, attname, attislocal, attinhcount)
      FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
     WHERE relnamespace = ANY ('{{{schemas}}}'::regnamespace[]) AND relkind IN ('r', 'p') AND attnum > 0
       AND NOT attisdropped
     ORDER BY attrelid::regclass::text, attnum
"""


def assert_arrived_in_order(pair: Pair, schemas: Mapping[str, str]) -> None:
    """Dumps don't tell the order of all columns, nor which of them a table has from its parents."""
    assert_arrived(pair, schemas)
    columns = COLUMNS.format(schemas=",".join(schemas))
    assert pair.query(columns) == pair.source.psql(pair.source_url, columns).strip()


@pytest.fixture(scope="module", params=[*ENDS, pytest.param("18 to 19", marks=pytest.mark.longer)])
def together(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """What is wrong with each case between an older server, a newer one, in an upgrade, and to the newest."""
    return verdicts(*ends(request), {name: [ddl] for name, ddl in CASES.items()}, assert_arrived_in_order)


@pytest.mark.parametrize("case", CASES)
def test_dumps_alike(together: Mapping[str, str], case: str) -> None:
    assert not together[case], together[case]
