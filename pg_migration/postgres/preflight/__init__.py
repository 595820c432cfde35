"""What must hold before anything is written, and what people should know before they start.

Every check looks and writes nothing. What it returns is shown by the job ``preflight`` and demanded by every run.
"""

from collections.abc import Iterator

from pg_migration.postgres.catalog import Catalog
from pg_migration.postgres.preflight import contents, rights, room, rows_to_delete, servers, traffic
from pg_migration.postgres.preflight.asking import Ends, Intent
from pg_migration.postgres.preflight.finding import (
    Finding,
    NotReady,
    Severity,
    demand,
    error,
    passed,
    warning,
    worst_first,
)

__all__ = [
    "Ends",
    "Finding",
    "Intent",
    "NotReady",
    "Severity",
    "demand",
    "error",
    "look_at_contents",
    "look_at_servers",
    "passed",
    "rows_to_delete",
    "warning",
    "worst_first",
]


def look_at_servers(ends: Ends, intent: Intent) -> Iterator[Finding]:
    """What can be told without reading the source's catalog.

    Raises:
        psycopg2.Error: a server refused to answer.
    """
    yield rights.different(ends)
    yield from rights.writable(ends)
    yield servers.versions(ends.source.server_version, ends.target.server_version)
    yield servers.encodings(ends)
    yield servers.collations(ends)
    yield from room.connections(ends, intent)
    yield from traffic.locks(ends)


def look_at_contents(ends: Ends, catalog: Catalog, intent: Intent) -> Iterator[Finding]:
    """What depends on the objects that are to be migrated.

    Raises:
        psycopg2.Error: a server refused to answer.
    """
    yield rights.sequences(ends, catalog)
    yield rights.row_security(ends, catalog)
    yield rights.roles(ends, catalog, intent)
    yield from rights.ownership(ends, catalog)
    yield contents.features(ends, catalog)
    yield from contents.extensions(ends, catalog)
    yield servers.used_collations(ends, catalog)
    yield from servers.collation_versions(ends, catalog)
    yield room.locks(ends, catalog, intent)
    yield room.disk_space(ends, catalog)
    yield from traffic.transactions(ends)
    yield from traffic.replication(ends, catalog)
    yield contents.primary_keys(catalog, intent)
    yield contents.event_triggers(ends)
    yield contents.not_copied(catalog)
