"""What of a source its target can have, as far as its server and the role that connects there go."""

from collections.abc import Callable, Collection
from dataclasses import replace

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Catalog
from pg_migration.postgres.ddl.changes.part_of_server import lacking
from pg_migration.postgres.ddl.changes.security_labels import loaded_providers
from pg_migration.postgres.ddl.reconciliation.forgone import (
    has_candidates,
    on_part_of_server,
    providers_of_labels,
    what_can_be_made,
    without_labels,
    without_privileges,
)
from pg_migration.postgres.ddl.reconciliation.permissions import Judge, what_can_be_said
from pg_migration.postgres.roles.reach import Reach, Standing, standing_of


def attainable(
    source: Catalog,
    connection: Connection,
    reach: Reach,
    schemas: Collection[str],
    read_target: Callable[[], Catalog],
    unsaid: Standing | None = None,
) -> Catalog:
    """The source's catalog less what the target can't have, which is noticed; what tables are built on stays.

    Args:
        connection: to the target.
        reach: of the role that connects there.
        schemas: the target's.
        read_target: discovers the target; called only where the role may not do something.
        unsaid: how the role stands to what is there, where what it can't say of that is to be left unsaid.
    """
    if (parts := on_part_of_server(source)) and source.version != connection.server_version:
        source = without_privileges(source, lacking(connection, parts))
    if providers := providers_of_labels(source):
        source = without_labels(source, providers - loaded_providers(connection, providers))
    if reach.superuser or (unsaid is None and not has_candidates(source)):
        return source
    judge = Judge(source, read_target(), reach, unsaid or standing_of(connection, schemas))
    source = what_can_be_made(judge)
    return source if unsaid is None else what_can_be_said(replace(judge, source=source))
