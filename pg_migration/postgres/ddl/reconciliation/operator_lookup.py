"""Replay DDL so that it means in the target what it means in the source.

``IS DISTINCT FROM``, ``NULLIF``, ``CASE x WHEN``, ``USING`` and comparisons of rows can't name the schema of their
operator: the server looks it up in the search_path of the session that runs the DDL. An object that found an operator
outside pg_catalog in that way is made under a path on which the same one is found, and judged by what it has found
before it is committed.
"""

import re
from collections.abc import Iterator

import psycopg2
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Lookup, SchemaObject
from pg_migration.postgres.catalog.objects.lookups import lookups_made_here
from pg_migration.postgres.catalog.reading.catalog_session import set_locally
from pg_migration.postgres.connection.statements import execute, transaction
from pg_migration.postgres.errors import MigrationError

_SCHEMA = re.compile(r'"(?:[^"]|"")*"(?=\.)')
_QUOTED_OR_WRITTEN_OUT = re.compile(
    r"""[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|OPERATOR\("(?:[^"]|"")*"\.(?P<name>[^\w\s()"]+)\)""",
    re.DOTALL,
)


class MeaningChanged(MigrationError):
    """On no search_path do the source's statements find what they find in the source; nothing was made."""


def needs_a_path(item: SchemaObject) -> bool:
    """Whether what an object means is decided by the search_path under which it is made."""
    return any(lookup.by_path for lookup in item.lookups)


def make_as_meant(connection: Connection, item: SchemaObject, text: str, usual_path: str) -> None:
    """Run the statements that make an object, in one transaction, on a search_path that gives it the source's meaning.

    Args:
        connection: to the target, in autocommit mode.
        item: an object that `needs_a_path`.
        text: its statements.
        usual_path: what the source's sessions have, or something like it: the last one that is tried.

    Raises:
        MeaningChanged: naming what is found in the source alone, and in the target alone.
        psycopg2.Error: the server's first refusal, where the statements could not be run on any path.
    """
    errors = []
    for path, statements in _ways(item, text, usual_path):
        error = _attempt(connection, item, statements, path)
        if error is None:
            return
        errors.append(error)
    raise next((error for error in errors if isinstance(error, MeaningChanged)), errors[0])


def _attempt(
    connection: Connection, item: SchemaObject, statements: str, path: str
) -> psycopg2.Error | MeaningChanged | None:
    """Make the object on one path; why it was not made."""
    try:
        with transaction(connection):
            set_locally(connection, {"search_path": path})
            execute(connection, statements)
            check_same_meaning(connection, item)
    except (psycopg2.Error, MeaningChanged) as error:
        if connection.closed:
            raise
        return error
    return None


def check_same_meaning(connection: Connection, item: SchemaObject) -> None:
    """Make sure that what the transaction that is open has made finds what the source's object finds.

    Raises:
        MeaningChanged: it does not.
    """
    found = lookups_made_here(connection)
    if found != item.lookups:
        raise MeaningChanged(
            f"{describe_lookups(item.lookups, found)}, whatever the search_path it is made under. Nothing was made"
        )


def _ways(item: SchemaObject, text: str, usual_path: str) -> Iterator[tuple[str, str]]:
    """Paths, with the statements to run on them, the likeliest first.

    Built-in names first: on such a path nothing but what pg_catalog lacks comes from elsewhere. The other way round,
    for an operator that hides a built-in one. Rows are compared by operators of one name, which PostgreSQL writes with
    the schema of the first one, so that the others may not be found: there all are found by path.
    """
    names = (_SCHEMA.match(found.name) for found in item.lookups if found.by_path)
    schemas = ", ".join(sorted({name.group() for name in names if name}))
    bare = _QUOTED_OR_WRITTEN_OUT.sub(lambda token: token["name"] or token.group(), text)
    for statements in dict.fromkeys((text, bare)):
        yield f"pg_catalog, {schemas}, pg_temp", statements
        yield f"{schemas}, pg_catalog, pg_temp", statements
    yield usual_path, text


def describe_lookups(ours: frozenset[Lookup], theirs: frozenset[Lookup]) -> str:
    """For people: what the source's object finds and the target's does not, and the other way round."""
    parts = [
        f"finds {', '.join(map(_named, sorted(lookups)))} in the {side} alone"
        for lookups, side in ((ours - theirs, "source"), (theirs - ours, "target"))
        if lookups
    ]
    return "means something else: it " + " and ".join(parts)


def _named(lookup: Lookup) -> str:
    return f"{lookup.name} for {lookup.construct}" if lookup.by_path else lookup.name
