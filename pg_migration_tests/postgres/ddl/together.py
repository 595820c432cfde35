"""Many small cases of DDL in one migration, each in a schema of its own: most of a migration's time is spent once."""

import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import TypeVar

from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.ddl.round_trip import Pair, assert_arrived, migrate, pair_of

Case = TypeVar("Case")
Steps = Sequence[str]
"""DDL that the source gets piece by piece, with a migration after each; the word ``public`` in it is the schema."""


class Before(str):
    """A first step that is migrated so that there is something for the others to change: nothing is judged after it."""

    __slots__ = ()


class InTarget(str):
    """A step that the target gets."""

    __slots__ = ()


Check = Callable[[Pair, Mapping[str, str]], object]
"""Migrate these schemas and demand that they arrived."""


def verdicts(
    source: PostgresServer, target: PostgresServer, cases: Mapping[str, Steps], check: Check = assert_arrived
) -> Mapping[str, str]:
    """Migrate all cases at once, each in a schema of its own, and say of each what is wrong.

    Args:
        cases: all with the same number of steps, of which one may be empty.
        check: called after every step, unless it is `Before` for all of them.

    Returns:
        As `judge_together`.
    """

    def judge(some: Mapping[str, Steps]) -> None:
        with closing(pair_of(source, target)) as pairs:
            _migrate_together(next(pairs), some, check)

    return judge_together(cases, judge)


def judge_together(cases: Mapping[str, Case], judge: Callable[[Mapping[str, Case]], object]) -> Mapping[str, str]:
    """Say of each case what is wrong with it, after a single look at all of them where nothing is.

    What is wrong with all of them together is looked for in one half and the other, down to the single case: so no case
    hides what another one does, or fails for it.

    Args:
        judge: raises an error where something is wrong with some cases; has databases of its own for each call.

    Returns:
        An error by case, empty for a case with which nothing is wrong.
    """
    error = ""
    try:
        judge(cases)
    except Exception:
        error = traceback.format_exc()
    if not error or len(cases) == 1:
        return dict.fromkeys(cases, error)
    names = [*cases]
    middle = len(names) // 2
    found: dict[str, str] = {}
    for half in (names[:middle], names[middle:]):
        found |= judge_together({name: cases[name] for name in half}, judge)
    return found if any(found.values()) else dict.fromkeys(cases, f"each is right by itself, but together: {error}")


def _migrate_together(pair: Pair, cases: Mapping[str, Steps], check: Check) -> None:
    schemas = [f"case_{number}" for number in range(len(cases))]
    names = {schema: schema for schema in schemas}
    pair.load("".join(f"CREATE SCHEMA {schema};\n" for schema in schemas))
    for step in zip(*cases.values(), strict=True):
        for load, in_target in ((pair.load, False), (pair.prepare, True)):
            some = [
                (name, ddl) for name, ddl in zip(schemas, step, strict=True) if isinstance(ddl, InTarget) is in_target
            ]
            if some:
                load("".join(_in_schema(name, ddl) for name, ddl in some))
        if isinstance(step[0], Before):
            assert (told := migrate(pair, names).failures) == [], told
        else:
            check(pair, names)


def _in_schema(schema: str, ddl: str) -> str:
    text = re.sub(r"\bpublic\b", schema, ddl)
    return f"RESET ALL; SET search_path = {schema};\n{text};\n"
