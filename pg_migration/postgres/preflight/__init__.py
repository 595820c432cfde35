"""What must hold before anything is written, and what people should know before they start.

Every check looks and writes nothing. What it returns is shown by the job ``preflight`` and demanded by every run.
"""

from collections.abc import Iterator

from pg_migration.postgres.catalog import Catalog
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.connection.free_connections import FREE
from pg_migration.postgres.connection.statements import Question, both_asked
from pg_migration.postgres.ddl.changes.roles import ROLES
from pg_migration.postgres.preflight import activity, objects, other_versions, permissions, resources, servers
from pg_migration.postgres.preflight.ends import Ends, Intent, names_in_target, question
from pg_migration.postgres.preflight.finding import (
    Finding,
    NotReady,
    Severity,
    demand,
    error,
    misuse,
    passed,
    warning,
    worst_first,
)
from pg_migration.postgres.preflight.transform import PERSONAL, TRANSFORM, look_at_transform
from pg_migration.postgres.snapshot.readers import ROOM

__all__ = [
    "PERSONAL",
    "TRANSFORM",
    "Ends",
    "Finding",
    "Intent",
    "NotReady",
    "Severity",
    "demand",
    "error",
    "look_at_contents",
    "look_at_servers",
    "look_at_transform",
    "misuse",
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
    always = [(permissions.SERVER, None), question("collation"), (FREE, None)]
    of_target = [(permissions.WRITE, None), *map(permissions.schema_question, ends.schemas.values())]
    with both_asked(
        (ends.source, [*always, activity.locks_question(ends, Side.SOURCE)]),
        (ends.target, [*always, *of_target, question("bookkeeping"), activity.locks_question(ends, Side.TARGET)]),
    ):
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
    with both_asked((ends.source, _of_source(ends, catalog)), (ends.target, _of_target(ends, catalog))):
        yield permissions.sequences(ends, catalog)
        yield permissions.row_security(ends, catalog)
        yield permissions.roles(ends, catalog, intent)
        yield from permissions.ownership(ends, catalog)
        yield objects.features(ends, catalog)
        yield from other_versions.settings(ends, catalog)
        yield from other_versions.encodings(ends, catalog)
        yield from other_versions.xml(ends, catalog)
        yield from other_versions.icu(ends, catalog)
        yield from other_versions.postfix_operators(ends, catalog)
        yield from other_versions.generated_columns(ends, catalog)
        yield from other_versions.meaning(ends, catalog)
        yield from objects.foreign_partitions(catalog)
        yield from objects.extensions(ends, catalog)
        yield servers.used_collations(ends, catalog)
        yield from servers.collation_versions(ends, catalog)
        yield resources.locks(ends, catalog, intent)
        yield resources.locks_of_target(ends, catalog)
        yield resources.disk_space(ends, catalog)
        yield from activity.transactions(ends)
        yield from activity.replication(ends, catalog)
        yield objects.primary_keys(catalog, intent)
        yield objects.event_triggers(ends)
        yield objects.not_copied(catalog)


def _of_source(ends: Ends, catalog: Catalog) -> list[Question]:
    tables, names = [table.oid for table in catalog.tables], objects.extension_names(catalog)
    return [
        permissions.sequences_question(catalog),
        permissions.row_security_question(catalog),
        *([question("extension_versions", names=names)] if names else ()),
        question("used_collations", tables=tables),
        *servers.collation_questions(ends.source, tables),
        *other_versions.questions_of_source(ends),
        (ROOM, None),
        question("sizes", tables=tables),
        question("long_transactions", seconds=activity.LONG_TRANSACTION_SECONDS),
        question("recovery"),
        question("slots"),
    ]


def _of_target(ends: Ends, catalog: Catalog) -> list[Question]:
    names = objects.extension_names(catalog)
    return [
        *([(ROLES, None)] if catalog.roles else ()),
        *([question("available_extensions", names=names)] if names else ()),
        *servers.collation_questions(ends.target, []),
        *other_versions.questions_of_target(catalog),
        question("present_sizes", **names_in_target(catalog)),
        question("slots"),
        question("event_triggers"),
        (ROOM, None),
        *([question("data_directory")] if ends.reach.superuser else ()),
    ]
