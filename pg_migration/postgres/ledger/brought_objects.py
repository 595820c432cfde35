"""Remember in the target what came from which source, so that what a source takes back can be told from other things.

Everything in a migrated schema either was brought by a migration or is somebody's own. Only the former may go when the
source does not have it any more, and only on behalf of the source and the schema that it came from: two sources may
share a target.
"""

from ast import literal_eval
from collections.abc import Iterable

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Catalog, SchemaObject, TableName
from pg_migration.postgres.catalog.identity import by_identity, identity_of, memory_key, there
from pg_migration.postgres.connection.statements import execute, fetch, gathered
from pg_migration.postgres.ledger.schema import has

TABLES = """
SELECT identity FROM _pg_migration.brought
 WHERE source OPERATOR(pg_catalog.=) %s AND pg_catalog.starts_with(identity, '(''table'', ')
"""
NOTE = """
INSERT INTO _pg_migration.brought (identity, source, source_schema)
SELECT noted.identity, %s, noted.source_schema
  FROM ROWS FROM (pg_catalog.unnest(%s::pg_catalog.text[]), pg_catalog.unnest(%s::pg_catalog.text[]))
       AS noted (identity, source_schema)
    ON CONFLICT (identity) DO UPDATE SET source = excluded.source, source_schema = excluded.source_schema
 WHERE (brought.source, brought.source_schema)
       OPERATOR(pg_catalog.<>) (excluded.source, excluded.source_schema)
"""
FORGET = """
DELETE FROM _pg_migration.brought
 WHERE source OPERATOR(pg_catalog.=) %s
   AND source_schema OPERATOR(pg_catalog.=) ANY (%s::pg_catalog.text[])
   AND identity OPERATOR(pg_catalog.<>) ALL (%s::pg_catalog.text[])
"""


def brought_tables(connection: Connection, origin: str) -> frozenset[TableName]:
    """The tables that migrations from a source brought, by their names in the target; some may be gone."""
    if not has(connection, "brought"):
        return frozenset()
    identities = (literal_eval(text) for (text,) in fetch(connection, TABLES, (origin,)))
    return frozenset((schema, name) for _, schema, _, name in identities)


def note_brought(connection: Connection, origin: str, source: Catalog, objects: Iterable[SchemaObject]) -> None:
    """Note objects of the source that were made in the target.

    Args:
        connection: to the target, where the ledger is.
        origin: which database the source is; the same text in every run.
        source: the catalog that the objects are from.
        objects: those that are there now. Noted ones may be noted again.
    """
    noted = {memory_key(identity_of(source, item)): item.schema for item in objects}
    if noted:
        execute(connection, NOTE, (origin, list(noted), list(noted.values())))


def note_all_brought(connection: Connection, origin: str, source: Catalog, target: Catalog) -> dict[str, str]:
    """Note everything that both catalogs have, and forget what is not in the target any more.

    To be called when all of the source's objects were made, with the target discovered after that: so what was there
    before the first migration, and was the same, counts as the source's from then on.

    Returns:
        What is noted now of this source, as `Catalog.brought` has it.
    """
    theirs = {memory_key(key) for key in there(target)}
    ours = {memory_key(key): item for key, item in by_identity(source).items()}
    with gathered(connection):
        note_brought(connection, origin, source, (item for key, item in ours.items() if key in theirs))
        execute(connection, FORGET, (origin, list(source.schemas), list(theirs)))
    kept = {key: schema for key, schema in target.brought.items() if key in theirs or schema not in source.schemas}
    return {**kept, **{key: item.schema for key, item in ours.items() if key in theirs}}


# In front of identity and source of what was brought into the copy that was live before: no reader looks for that.
_OF_PREVIOUS = "previous "
_OF_NEXT = "next "
_MOVE = """
UPDATE _pg_migration.brought
   SET identity = pg_catalog.concat(%(after)s, pg_catalog.substr(identity, pg_catalog.length(%(before)s) + 1)),
       source = pg_catalog.concat(%(after)s, %(origin)s)
 WHERE source = pg_catalog.concat(%(before)s, %(origin)s) AND source_schema = ANY (%(schemas)s::text[])
"""
_FORGET_PREVIOUS = """
DELETE FROM _pg_migration.brought
 WHERE source = pg_catalog.concat(%(previous)s, %(origin)s) AND source_schema = ANY (%(schemas)s::text[])
"""


def of_next(origin: str) -> str:
    """As what a source is noted, for what is loaded beside what is live."""
    return f"{_OF_NEXT}{origin}"


def forget_brought(connection: Connection, origin: str) -> None:
    """Forget all that is noted as brought from a source."""
    execute(connection, "DELETE FROM _pg_migration.brought WHERE source OPERATOR(pg_catalog.=) %s", (origin,))


def keep_previous(connection: Connection, origin: str, schemas: Iterable[str]) -> None:
    """Note what was brought into what is live as that of the copy which was live before.

    Args:
        origin: which database the source is.
        schemas: of the source.
    """
    names = {"origin": origin, "schemas": list(schemas)}
    execute(connection, _FORGET_PREVIOUS, {"previous": _OF_PREVIOUS, **names})
    execute(connection, _MOVE, {"before": "", "after": _OF_PREVIOUS, **names})


def bring_back_previous(connection: Connection, origin: str, schemas: Iterable[str]) -> None:
    """Note what was brought into the copy that was live before as what is live, and the other way round."""
    names, aside = {"origin": origin, "schemas": list(schemas)}, "aside "
    for before, after in (("", aside), (_OF_PREVIOUS, ""), (aside, _OF_PREVIOUS)):
        execute(connection, _MOVE, {"before": before, "after": after, **names})
