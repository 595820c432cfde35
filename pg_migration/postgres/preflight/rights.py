"""Whether the two roles may do what the migration does, and whether it makes sense to let them."""

import secrets
from collections.abc import Iterator

import psycopg2
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Catalog
from pg_migration.postgres.ddl import missing_roles
from pg_migration.postgres.ledger import SCHEMA as BOOKKEEPING
from pg_migration.postgres.preflight.asking import Ends, Intent, ask, names_in_target
from pg_migration.postgres.preflight.finding import Finding, error, listed, passed
from pg_migration.postgres.session import execute, fetch

DIFFERENT = "source and target"
WRITABLE = "target can be written"
ROLES = "roles"
OWNERSHIP = "owners in the target"
SEQUENCES = "sequences can be read"
ROW_SECURITY = "row-level security"

ANOTHER_TARGET = "Set another target URL, or another PG_MIGRATION_TARGET_SCHEMA"


def different(ends: Ends) -> Finding:
    """That no schema is migrated onto itself.

    Two sessions are in the same database when they contend for the same advisory lock, whatever their URLs say. A
    standby has its primary's files, but not its locks.
    """
    same = sorted(set(ends.schemas) & set(ends.schemas.values()))
    if not same:
        return passed(DIFFERENT, "two different places")
    if _one_database(ends.source, ends.target):
        return error(
            DIFFERENT,
            f"source and target are the same database, and the same schema {', '.join(same)}: the rows would be copied "
            f"onto themselves",
            ANOTHER_TARGET,
        )
    return _standby_of_target(ends, same) or passed(DIFFERENT, "two different places")


def _standby_of_target(ends: Ends, same: list[str]) -> Finding | None:
    """That the source does not repeat what the migration does to the target, which empties its tables first."""
    if fetch(ends.source, "SELECT pg_is_in_recovery()") != [(True,)]:
        return None
    try:
        if ask(ends.source, "cluster") != ask(ends.target, "cluster"):
            return None
    except psycopg2.errors.InsufficientPrivilege:
        return error(
            DIFFERENT,
            f"the source is a standby, and the roles may not ask whether it is one of the target: tables of schema "
            f"{', '.join(same)} would be emptied in it, too",
            "As a superuser run in both: GRANT EXECUTE ON FUNCTION pg_control_system() TO the role that connects",
        )
    return error(
        DIFFERENT,
        f"the source is a standby of the target, and the same schema {', '.join(same)}: what the migration empties in "
        f"the target would be empty in the source, too",
        ANOTHER_TARGET,
    )


def _one_database(source: Connection, target: Connection) -> bool:
    key = secrets.randbits(62)
    execute(target, "SELECT pg_advisory_lock(%s)", (key,))
    try:
        ((free,),) = fetch(source, "SELECT pg_try_advisory_lock(%s)", (key,))
        if free:
            execute(source, "SELECT pg_advisory_unlock(%s)", (key,))
    finally:
        execute(target, "SELECT pg_advisory_unlock(%s)", (key,))
    return not free


def writable(ends: Ends) -> list[Finding]:
    """That the target takes writes, and that the role may create what the migration creates first."""
    ((recovering, read_only, role),) = fetch(
        ends.target, "SELECT pg_is_in_recovery(), current_setting('transaction_read_only')::bool, current_user"
    )
    where = ends.target_endpoint.description
    if recovering:
        return [error(WRITABLE, f"the target {where} is a standby in recovery", "Give its primary instead")]
    if read_only:
        return [
            error(
                WRITABLE,
                f"the target {where} is read only (default_transaction_read_only is on for role {role}, the database "
                f"or the server)",
                "Switch that off, or give another target",
            )
        ]
    refused = [*_schemas(ends), *_bookkeeping(ends.target)]
    return refused or [passed(WRITABLE, f"role {role} may create schemas and tables")]


def _schemas(ends: Ends) -> Iterator[Finding]:
    for name in ends.schemas.values():
        ((role, database, exists, may_create, may_create_schema),) = fetch(
            ends.target,
            "SELECT current_user, current_database(), n.oid IS NOT NULL, "
            "coalesce(has_schema_privilege(n.oid, 'USAGE') AND has_schema_privilege(n.oid, 'CREATE'), false), "
            "has_database_privilege(current_database(), 'CREATE') "
            "FROM (SELECT %s::text AS wanted) w LEFT JOIN pg_namespace n ON n.nspname = w.wanted",
            (name,),
        )
        if exists and not may_create:
            yield error(
                WRITABLE,
                f"role {role} may not create tables in schema {name} of the target database {database}",
                f'As its owner run: GRANT USAGE, CREATE ON SCHEMA "{name}" TO "{role}";',
            )
        if not exists and not may_create_schema:
            yield error(
                WRITABLE,
                f"role {role} may not create schema {name} in the target database {database}",
                f'As its owner run: GRANT CREATE ON DATABASE "{database}" TO "{role}";',
            )


def _bookkeeping(target: Connection) -> Iterator[Finding]:
    ((role, database, there, usable),) = ask(target, "bookkeeping")
    if usable:
        return
    if there:
        yield error(
            WRITABLE,
            f"role {role} may not write to the bookkeeping schema {BOOKKEEPING} of the target database {database}",
            f"Connect as the role that made it, or drop it: DROP SCHEMA {BOOKKEEPING} CASCADE;",
        )
    else:
        yield error(
            WRITABLE,
            f"role {role} may not create the bookkeeping schema {BOOKKEEPING} in the target database {database}",
            f'As its owner run: GRANT CREATE ON DATABASE "{database}" TO "{role}";',
        )


def roles(ends: Ends, catalog: Catalog, intent: Intent) -> Finding:
    """That the target has the roles that owners, grants and policies name, or that they can be made."""
    missing = missing_roles(ends.target, catalog)
    if not missing:
        return passed(
            ROLES, f"the target has all {len(catalog.roles)} that are named" if catalog.roles else "none needed"
        )
    if not intent.create_roles:
        return error(
            ROLES,
            f"owners, grants or policies in the source name roles that the target does not have: {', '.join(missing)}",
            "Create them there, or set create_roles: true (they get no login), or owners: false and privileges: false",
        )
    ((role, may),) = fetch(
        ends.target, "SELECT rolname, rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
    )
    if not may:
        return error(
            ROLES,
            f"role {role} of the target may not create roles, as create_roles asks for: {', '.join(missing)}",
            f'As a superuser run: ALTER ROLE "{role}" CREATEROLE; or create them there',
        )
    return passed(ROLES, f"will be created without login: {', '.join(missing)}")


def ownership(ends: Ends, catalog: Catalog, intent: Intent) -> list[Finding]:
    """That tables of the target may be emptied and altered, and be given to their owners."""
    ((role,),) = fetch(ends.target, "SELECT current_user")
    found = []
    if foreign := ask(ends.target, "foreign_owners", **names_in_target(catalog)):
        owners = sorted({owner for _, owner in foreign})
        found.append(
            error(
                OWNERSHIP,
                f"role {role} does not own tables that are there and would be filled again: "
                f"{listed(f'{relation} (of {owner})' for relation, owner in foreign)}",
                f"As a superuser run: {' '.join(_grant(owner, role) for owner in owners)}",
            )
        )
    if intent.owners:
        relations = [*(table.oid for table in catalog.tables), *(sequence.oid for sequence in catalog.sequences)]
        wanted = [name for (name,) in ask(ends.source, "owners", relations=relations)]
        out_of_reach = [name for (name,) in ask(ends.target, "unreachable_roles", names=wanted)]
        if out_of_reach:
            found.append(
                error(
                    OWNERSHIP,
                    f"role {role} may not give tables to the owners that they have in the source: "
                    f"{listed(out_of_reach)}",
                    f"As a superuser run: {' '.join(_grant(owner, role) for owner in out_of_reach)} "
                    f"Or set owners: false",
                )
            )
    return found or [passed(OWNERSHIP, "tables can be altered and given to their owners")]


def _grant(owner: str, role: str) -> str:
    return f'GRANT "{owner}" TO "{role}";'


def sequences(ends: Ends, catalog: Catalog) -> Finding:
    """That the role can read where the source's sequences stand, which is needed only after the rows."""
    refused = fetch(
        ends.source,
        "SELECT c.oid::regclass::text FROM unnest(%s::oid[]) AS wanted (oid) JOIN pg_class c ON c.oid = wanted.oid "
        "WHERE NOT (has_schema_privilege(c.relnamespace, 'USAGE') AND has_sequence_privilege(wanted.oid, 'SELECT')) "
        "ORDER BY 1",
        ([sequence.oid for sequence in catalog.sequences],),
    )
    if not refused:
        return passed(SEQUENCES, f"{len(catalog.sequences):,} sequences")
    ((role,),) = fetch(ends.source, "SELECT current_user")
    names = ", ".join(row[0] for row in refused)
    return error(
        SEQUENCES,
        f"role {role} may not read {len(refused)} sequence(s) of the source: {names}",
        "Grant it SELECT on them (and USAGE on their schemas)",
    )


def row_security(ends: Ends, catalog: Catalog) -> Finding:
    """That no policy hides rows of the source from the role."""
    hidden = fetch(
        ends.source,
        "SELECT t::regclass::text FROM unnest(%s::oid[]) AS t WHERE row_security_active(t) ORDER BY 1",
        ([table.oid for table in catalog.tables],),
    )
    if not hidden:
        return passed(ROW_SECURITY, "hides nothing")
    ((role,),) = fetch(ends.source, "SELECT current_user")
    names = ", ".join(row[0] for row in hidden)
    return error(
        ROW_SECURITY,
        f"row-level security may hide rows of the source from role {role}, in {names}",
        f'Let their owner do the migration, or run as a superuser: ALTER ROLE "{role}" BYPASSRLS;',
    )
