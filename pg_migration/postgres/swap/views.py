"""Views outside of what is swapped: they have the OIDs of what they read, and so have to be made anew to follow."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import psycopg2
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration.postgres.errors import StructureConflict, server_message
from pg_migration.postgres.sql_files import sql_file

_SAVEPOINT = "pg_migration_view"
_BY_DEFAULT = """
SELECT format('REVOKE ALL ON TABLE %%s FROM %%s', c.oid::regclass,
              CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END)
  FROM pg_class c
 CROSS JOIN LATERAL aclexplode(c.relacl) a
 WHERE c.oid = %s::regclass
 GROUP BY c.oid, a.grantee
"""


@dataclass(frozen=True)
class View:
    """A view as it is before the swap.

    ``direct``: whether it reads what is swapped, and not only other views that do, which are in ``reads``. ``owned``
    and ``owner`` are whether the role may alter it, and whose it is. ``definition`` begins with VIEW. ``plain`` says
    that nothing was ever granted or revoked; ``grants`` and ``more`` bring back the rest of it.
    """

    oid: int
    name: str
    direct: bool
    reads: Sequence[int]
    owned: bool
    owner: str
    definition: str
    plain: bool
    grants: Sequence[str]
    more: Sequence[str]


def about_inside(query: str) -> str:
    """The text of a query that looks at what is inside of some schemas, by its file: with inside.sql in its place."""
    return sql_file(query).replace("{inside}", sql_file("swap/inside.sql"))


def views_on(connection: Connection, schemas: Collection[str]) -> list[View]:
    """The views outside of some schemas that read what is in them, each after those that it reads."""
    found = {
        row[0]: View(*row) for row in fetch(connection, about_inside("swap/views.sql"), {"schemas": list(schemas)})
    }
    ordered: dict[int, View] = {}

    def put(view: View) -> None:
        for oid in view.reads:
            if oid not in ordered:
                put(found[oid])
        ordered.setdefault(view.oid, view)

    for view in sorted(found.values(), key=lambda view: view.name):
        put(view)
    return list(ordered.values())


def make_follow(connection: Connection, views: Sequence[View]) -> list[str]:
    """Let views read what has the names now that they were made with; call it in the transaction of the swap.

    A view whose columns have other types now can't be replaced (PostgreSQL docs: CREATE VIEW): it is dropped with the
    views that read it, and made again.

    Args:
        views: each after those that it reads.

    Returns:
        The names of those that were dropped.

    Raises:
        StructureConflict: one can't be made of what there is now, or something else is built on one that has to go.
    """
    left = [view for view in views if view.direct and not _replace(connection, view)]
    anew = _with_readers(views, {view.oid for view in left})
    try:
        for view in reversed(anew):
            execute(connection, f"DROP VIEW {view.name}")
        for view in anew:
            _make(connection, view)
    except (psycopg2.ProgrammingError, psycopg2.errors.DependentObjectsStillExist) as error:
        raise _not_made(view, error) from None
    return [view.name for view in anew]


def _make(connection: Connection, view: View) -> None:
    for statement in (f"CREATE {view.definition}", f"ALTER VIEW {view.name} OWNER TO {view.owner}", *view.more):
        execute(connection, statement)
    revoked = [] if view.plain else [text for (text,) in fetch(connection, _BY_DEFAULT, (view.name,))]
    for statement in (*revoked, *view.grants):
        execute(connection, statement)


def _not_made(view: View, error: psycopg2.Error) -> StructureConflict:
    return StructureConflict(
        f"not swapped, and nothing has changed for readers: view {view.name}, which reads what is swapped, can't be "
        f"made anew: {server_message(error)}. Change or drop it, and start again"
    )


def _replace(connection: Connection, view: View) -> bool:
    execute(connection, f"SAVEPOINT {_SAVEPOINT}")
    try:
        execute(connection, f"CREATE OR REPLACE {view.definition}")
    except psycopg2.errors.InvalidTableDefinition:
        execute(connection, f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
        return False
    except psycopg2.ProgrammingError as error:
        raise _not_made(view, error) from None
    execute(connection, f"RELEASE SAVEPOINT {_SAVEPOINT}")
    return True


def _with_readers(views: Sequence[View], start: set[int]) -> list[View]:
    reached = set(start)
    for view in views:  # each comes after those that it reads
        if reached.intersection(view.reads):
            reached.add(view.oid)
    return [view for view in views if view.oid in reached]
