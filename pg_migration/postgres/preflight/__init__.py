"""What must hold before anything is written, and what people should know before they start.

Every check looks and writes nothing. What it returns is shown by the job ``preflight`` and demanded by every run.
"""

from collections.abc import Iterator

from pg_migration.postgres.catalog import Catalog
from pg_migration.postgres.preflight import activity, objects, permissions, resources, servers
from pg_migration.postgres.preflight.ends import Ends, Intent
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
    yield permissions.different(ends)
    yield from permissions.writable(ends)
    yield servers.versions(ends.source.server_version, ends.target.server_version)
    yield servers.encodings(ends)
    yield servers.collations(ends)
    yield from resources.connections(ends, intent)
    yield from activity.locks(ends)


def look_at_contents(ends: Ends, catalog: Catalog, intent: Intent) -> Iterator[Finding]:
    """What depends on the objects that are to be migrated.

    Raises:
        psycopg2.Error: a server refused to answer.
    """
    yield permissions.sequences(ends, catalog)
    yield permissions.row_security(ends, catalog)
    yield permissions.roles(ends, catalog, intent)
    yield from permissions.ownership(ends, catalog)
    yield objects.features(ends, catalog)
    yield from objects.extensions(ends, catalog)
    yield servers.used_collations(ends, catalog)
    yield from servers.collation_versions(ends, catalog)
    yield resources.locks(ends, catalog, intent)
    yield resources.disk_space(ends, catalog)
    yield from activity.transactions(ends)
    yield from activity.replication(ends, catalog)
    yield objects.primary_keys(catalog, intent)
    yield objects.event_triggers(ends)
    yield objects.not_copied(catalog)
