"""Make again what was dropped on the way to something that did not come."""

from collections.abc import Sequence

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Catalog, SchemaObject
from pg_migration.postgres.catalog.identity import identity_of, there
from pg_migration.postgres.ddl.changes.apply import Outcome, apply
from pg_migration.postgres.ddl.reconciliation.surplus import SAID_OF


def bring_back(
    connection: Connection, now: Catalog, dropped: Sequence[SchemaObject], settings: Sequence[tuple[str, str]] = ()
) -> list[Outcome]:
    """Make objects of the target again as they were, with what was said of them, where nothing took their place.

    Args:
        connection: to the target.
        now: the target as it is.
        dropped: objects of the target as it was, in the order in which they were dropped.
        settings: as for `apply`.

    Returns:
        What became of those that were not there.
    """
    present = there(now)
    gone = {item.address for item in dropped if identity_of(now, item) not in present}
    lost = [
        item
        for item in reversed(dropped)
        if item.address in gone or (item.kind in SAID_OF and not gone.isdisjoint(item.depends_on))
    ]
    return apply(connection, lost, settings=settings)
