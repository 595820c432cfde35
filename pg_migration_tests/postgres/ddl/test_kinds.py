"""Objects of every kind arrive as they are; the cases of a kind are in a module of its own."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

import pytest

from pg_migration_tests.postgres.ddl import relations, routines, types
from pg_migration_tests.postgres.ddl.conftest import ENDS, ends
from pg_migration_tests.postgres.ddl.together import verdicts


def cases() -> Iterator[tuple[str, str]]:
    """The DDL of each case, by kind and name."""
    for folder in (relations, routines, types):
        for kind in _kinds(folder):
            for name, ddl in import_module(f"{folder.__name__}.{kind}").CASES.items():
                yield f"{kind}: {name}", ddl


def _kinds(folder: ModuleType) -> list[str]:
    return [module.name for module in iter_modules(folder.__path__) if not module.name.startswith("test_")]


CASES = dict(cases())


@pytest.fixture(scope="module", params=ENDS)
def together(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """What is wrong with each case between an older server, a newer one, and in an upgrade."""
    return verdicts(*ends(request), {name: [ddl] for name, ddl in CASES.items()})


@pytest.mark.parametrize("case", CASES)
def test_dumps_alike(together: Mapping[str, str], case: str) -> None:
    assert not together[case], together[case]
