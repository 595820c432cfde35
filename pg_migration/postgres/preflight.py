"""What must hold before anything is written: two different places, and a target that can be written to."""

import secrets
from collections.abc import Iterable, Mapping

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Catalog
from pg_migration.postgres.ddl import missing_roles, unsupported
from pg_migration.postgres.endpoint import Endpoint
from pg_migration.postgres.errors import ConfigurationError, NotPermitted, StructureConflict
from pg_migration.postgres.session import execute, fetch


def check_different(source: Connection, target: Connection, schemas: Mapping[str, str]) -> None:
    """Refuse to migrate a schema onto itself.

    Two sessions are in the same database when they contend for the same advisory lock, whatever their URLs say.

    Raises:
        ConfigurationError: naming the schemas that are both source and target.
    """
    same = sorted(set(schemas) & set(schemas.values()))
    if not same:
        return
    key = secrets.randbits(62)
    execute(target, "SELECT pg_advisory_lock(%s)", (key,))
    try:
        ((free,),) = fetch(source, "SELECT pg_try_advisory_lock(%s)", (key,))
        if free:
            execute(source, "SELECT pg_advisory_unlock(%s)", (key,))
    finally:
        execute(target, "SELECT pg_advisory_unlock(%s)", (key,))
    if not free:
        raise ConfigurationError(
            f"source and target are the same database, and the same schema {', '.join(same)}: the rows would be copied "
            f"onto themselves. Set another target URL, or another PG_MIGRATION_TARGET_SCHEMA."
        )


def check_fits(catalog: Catalog, target: Connection, create_roles: bool) -> None:
    """Refuse what the target can't take: features that its version lacks, roles that nobody made there.

    Args:
        create_roles: whether missing roles will be made, and so are no obstacle.

    Raises:
        StructureConflict: naming every feature, or every role.
    """
    if lines := unsupported(catalog, target.server_version):
        listed = "\n".join(f"  - {line}" for line in lines)
        raise StructureConflict(
            f"the target runs PostgreSQL {target.server_version // 10000}, which lacks what the source uses:\n"
            f"{listed}\nNothing was changed. Give a newer target, or leave these out."
        )
    roles = missing_roles(target, catalog)
    if roles and not create_roles:
        raise StructureConflict(
            f"owners, grants or policies in the source name roles that the target does not have: {', '.join(roles)}. "
            f"Nothing was changed. Create them there, or set create_roles: true (they get no login), or owners: false "
            f"and privileges: false."
        )


def check_target(connection: Connection, target: Endpoint, schemas: Mapping[str, str]) -> None:
    """Refuse a target that can't be written to.

    Raises:
        ConfigurationError: when it is a standby or read only.
        NotPermitted: when the role may not create what the migration creates.
    """
    ((recovering, read_only, role, database),) = fetch(
        connection,
        "SELECT pg_is_in_recovery(), current_setting('transaction_read_only')::bool, current_user, current_database()",
    )
    if recovering:
        raise ConfigurationError(f"the target {target.description} is a standby in recovery: give its primary instead")
    if read_only:
        raise ConfigurationError(
            f"the target {target.description} is read only (default_transaction_read_only is on for role {role}, the "
            f"database or the server): switch that off, or give another target"
        )
    for name in schemas.values():
        ((exists, may_create, may_create_schema),) = fetch(
            connection,
            "SELECT n.oid IS NOT NULL, coalesce(has_schema_privilege(n.oid, 'USAGE'), false) "
            "AND coalesce(has_schema_privilege(n.oid, 'CREATE'), false), "
            "has_database_privilege(current_database(), 'CREATE') "
            "FROM (SELECT %s::text AS wanted) w LEFT JOIN pg_namespace n ON n.nspname = w.wanted",
            (name,),
        )
        if exists and not may_create:
            raise NotPermitted(
                f"role {role} may not create tables in schema {name} of the target database {database}. "
                f'As its owner run: GRANT USAGE, CREATE ON SCHEMA "{name}" TO "{role}";'
            )
        if not exists and not may_create_schema:
            raise NotPermitted(
                f"role {role} may not create schema {name} in the target database {database}. "
                f'As its owner run: GRANT CREATE ON DATABASE "{database}" TO "{role}";'
            )


def check_sequences(connection: Connection, sequences: Iterable[int]) -> None:
    """Refuse a role that can't read where the source's sequences stand, which is needed only after the rows.

    Args:
        sequences: their OIDs.

    Raises:
        NotPermitted: naming the sequences.
    """
    refused = fetch(
        connection,
        "SELECT c.oid::regclass::text FROM unnest(%s::oid[]) AS wanted (oid) JOIN pg_class c ON c.oid = wanted.oid "
        "WHERE NOT (has_schema_privilege(c.relnamespace, 'USAGE') AND has_sequence_privilege(wanted.oid, 'SELECT')) "
        "ORDER BY 1",
        (list(sequences),),
    )
    if refused:
        ((role,),) = fetch(connection, "SELECT current_user")
        names = ", ".join(row[0] for row in refused)
        raise NotPermitted(
            f"role {role} may not read {len(refused)} sequence(s) of the source: {names}. Grant it SELECT on them (and "
            f"USAGE on their schemas)."
        )


def check_row_security(connection: Connection, tables: Iterable[int]) -> None:
    """Refuse a role from which row-level security hides rows of the source.

    Args:
        tables: their OIDs.

    Raises:
        NotPermitted: naming the tables.
    """
    hidden = fetch(
        connection,
        "SELECT t::regclass::text FROM unnest(%s::oid[]) AS t WHERE row_security_active(t) ORDER BY 1",
        (list(tables),),
    )
    if hidden:
        ((role,),) = fetch(connection, "SELECT current_user")
        names = ", ".join(row[0] for row in hidden)
        raise NotPermitted(
            f"row-level security may hide rows of the source from role {role}, in {names}. Let their owner do "
            f'the migration, or run as a superuser: ALTER ROLE "{role}" BYPASSRLS;'
        )
