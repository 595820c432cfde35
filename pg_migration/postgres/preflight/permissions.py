"""Whether the two roles may do what the migration does, and whether it makes sense to let them."""

import secrets
from collections.abc import Iterable, Iterator

import psycopg2
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Catalog
from pg_migration.postgres.connection.statements import Question, execute, fetch
from pg_migration.postgres.ddl import Judge, Obstacle, acted_for, missing_roles
from pg_migration.postgres.ddl.reconciliation.permissions import SAID_KINDS
from pg_migration.postgres.figures import listed
from pg_migration.postgres.ledger.schema import LATEST, version
from pg_migration.postgres.ledger.schema import SCHEMA as BOOKKEEPING
from pg_migration.postgres.preflight.ends import Ends, Intent, ask, names_in_target
from pg_migration.postgres.preflight.finding import Finding, error, misuse, passed
from pg_migration.postgres.roles.reach import is_reserved, quoted, standing_of

DIFFERENT = "source and target"
WRITABLE = "target can be written"
ROLES = "roles in the target"
OWNERSHIP = "owners in the target"
SEQUENCES = "sequences of the source can be read"
ROW_SECURITY = "row-level security on the source"

MAX_REMEDIES = 10
NO_LINE_BREAKS_SINCE = 190000

ANOTHER_TARGET = "Set another target URL or, where the target is not to follow, another PG_MIGRATION_TARGET_SCHEMA"


SERVER = """
SELECT concat(pg_postmaster_start_time()), oid::bigint, pg_is_in_recovery() FROM pg_database
 WHERE datname = current_database()
"""
WRITE = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on', current_user"
_SCHEMA = (
    "SELECT current_user, current_database(), n.oid IS NOT NULL, "
    "coalesce(has_schema_privilege(n.oid, 'USAGE') AND has_schema_privilege(n.oid, 'CREATE'), false), "
    "has_database_privilege(current_database(), 'CREATE'), "
    "coalesce(pg_get_userbyid(n.nspowner) = 'pg_database_owner', false) "
    "FROM (SELECT %s::text AS wanted) w LEFT JOIN pg_namespace n ON n.nspname = w.wanted"
)


def different(ends: Ends) -> Finding:
    """That no schema is migrated onto itself.

    Two sessions are in the same database when they contend for the same advisory lock, whatever their URLs say. A
    standby has its primary's files, but not its locks.
    """
    same = sorted(set(ends.schemas) & set(ends.schemas.values()))
    if not same:
        return passed(DIFFERENT, "two different places")
    if is_one_database(ends.source, ends.target):
        return misuse(
            DIFFERENT,
            f"source and target are the same database, and the same schema {', '.join(same)}: the rows would be copied "
            f"onto themselves",
            ANOTHER_TARGET,
        )
    return _standby_of_target(ends, same) or passed(DIFFERENT, "two different places")


def _standby_of_target(ends: Ends, same: list[str]) -> Finding | None:
    """That the source does not repeat what the migration does to the target, which empties its tables first."""
    if not server_of(ends.source)[1]:
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
    return misuse(
        DIFFERENT,
        f"the source is a standby of the target, and the same schema {', '.join(same)}: what the migration empties in "
        f"the target would be empty in the source, too",
        ANOTHER_TARGET,
    )


def server_of(connection: Connection) -> tuple[str, bool]:
    """What every session of one database is told alike, and few of another; and whether the server is in recovery."""
    ((life, database, recovering),) = fetch(connection, SERVER)
    return f"{life} {database}", recovering


def is_one_database(source: Connection, target: Connection) -> bool:
    """Whether two sessions are in the same database of the same server."""
    if server_of(source)[0] != server_of(target)[0]:
        return False
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
    ((recovering, read_only, role),) = fetch(ends.target, WRITE)
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


def schema_question(name: str) -> Question:
    """Whether a schema is there, and what the role may create."""
    return _SCHEMA, (name,)


def _schemas(ends: Ends) -> Iterator[Finding]:
    for name in ends.schemas.values():
        ((role, database, exists, may_create, may_create_schema, shared),) = fetch(ends.target, *schema_question(name))
        if exists and not may_create:
            advice = f"As its owner run: GRANT USAGE, CREATE ON SCHEMA {quoted(name)} TO {quoted(role)};"
            if shared:  # with that grant it has other privileges than the source's, which only its owner may mend
                advice += (
                    f" Or, where the schema is to have the source's privileges, as a superuser run: ALTER DATABASE "
                    f"{quoted(database)} OWNER TO {quoted(role)};"
                )
            yield error(
                WRITABLE,
                f"role {role} may not create tables in schema {name} of the target database {database}",
                advice,
            )
        if not exists and not may_create_schema:
            yield error(
                WRITABLE,
                f"role {role} may not create schema {name} in the target database {database}",
                f"As its owner run: GRANT CREATE ON DATABASE {quoted(database)} TO {quoted(role)};",
            )


def _bookkeeping(target: Connection) -> Iterator[Finding]:
    ((role, database, there, owner, usable, upgradable),) = ask(target, "bookkeeping")
    if usable and (upgradable or version(target) == LATEST):
        return
    if usable:
        yield error(
            WRITABLE,
            f"role {role} may not upgrade the bookkeeping schema {BOOKKEEPING} of the target database {database}, "
            f"which an older version of this program has made",
            f"Connect as {owner} once, or as a superuser run: GRANT {quoted(owner)} TO {quoted(role)};",
        )
    elif there:
        yield error(
            WRITABLE,
            f"role {role} may not write to the bookkeeping schema {BOOKKEEPING} of the target database {database}",
            f"As {owner}, or a superuser, run: GRANT USAGE ON SCHEMA {BOOKKEEPING} TO {quoted(role)}; "
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {BOOKKEEPING} TO {quoted(role)}; Or connect "
            f"as {owner}, or drop it, which forgets what was loaded: DROP SCHEMA {BOOKKEEPING} CASCADE;",
        )
    else:
        yield error(
            WRITABLE,
            f"role {role} may not create the bookkeeping schema {BOOKKEEPING} in the target database {database}",
            f"As its owner run: GRANT CREATE ON DATABASE {quoted(database)} TO {quoted(role)};",
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
            "Create them there, or set create_roles: true (they get no login), or owners: best_effort, which leaves "
            "out owners and grants that can't be given, or owners: false and privileges: false",
        )
    if reserved := [name for name in missing if is_reserved(name)]:
        return error(
            ROLES,
            f"the source names roles that only a newer server has: {', '.join(reserved)}",
            "Set owners: best_effort, which leaves out owners and grants that can't be given",
        )
    broken = [repr(name) for name in missing if not {"\n", "\r"}.isdisjoint(name)]
    if broken and ends.target.server_version >= NO_LINE_BREAKS_SINCE:
        return error(
            ROLES,
            f"the target's version takes no line break in the name of a role: {', '.join(broken)}",
            "Rename them in the source, or set owners: best_effort, which leaves out owners and grants that can't be "
            "given",
        )
    role = ends.reach.role
    if not ends.reach.creates_roles:
        return error(
            ROLES,
            f"role {role} of the target may not create roles, as create_roles asks for: {', '.join(missing)}",
            f"As a superuser run: ALTER ROLE {quoted(role)} CREATEROLE; or create them there",
        )
    joined = "" if ends.reach.superuser else ", ".join(sorted(acted_for(catalog) & set(missing)))
    member = f"; {role} becomes a member of {joined}" if joined else ""
    return passed(ROLES, f"will be created without login: {', '.join(missing)}{member}")


def ownership(ends: Ends, catalog: Catalog) -> list[Finding]:
    """That what is in the target may be changed, and owners, grants and comments be as they are in the source."""
    role = ends.reach.role
    if ends.reach.superuser:
        return [passed(OWNERSHIP, f"role {role} is a superuser")]
    found = []
    foreign = ask(ends.target, "foreign_owners", **names_in_target(catalog))
    if foreign:
        owners = sorted({owner for _, owner in foreign})
        found.append(
            error(
                OWNERSHIP,
                f"role {role} does not own tables that are there and would be filled again: "
                f"{listed(f'{relation} (of {owner})' for relation, owner in foreign)}",
                " ".join(ends.reach.remedy(owner) for owner in owners),
            )
        )
    if (structure := ends.structure()) is None:
        return found
    target, plan = structure
    judge = Judge(catalog, target, ends.reach, standing_of(ends.target, ends.schemas.values()))
    # The role can't do anything about tables of others, which have been named.
    named = {relation for relation, _ in foreign}
    obstacles = [o for o in judge.obstacles(plan.create, plan.dropped) if _relation(catalog, o) not in named]
    found += _by_remedy(role, obstacles)
    return found or [passed(OWNERSHIP, "what is there can be changed, and given to its owners")]


def _relation(catalog: Catalog, obstacle: Obstacle) -> str:
    item = obstacle.object
    return ".".join((catalog.schemas.get(item.table[0], item.table[0]), item.table[1])) if item.table else ""


def _by_remedy(role: str, obstacles: Iterable[Obstacle]) -> list[Finding]:
    """One error for each thing that the role may not do, with all that it concerns."""
    grouped: dict[str, list[Obstacle]] = {}
    for obstacle in obstacles:
        grouped.setdefault(obstacle.reason, []).append(obstacle)
    found = []
    for reason, some in grouped.items():
        names = listed(dict.fromkeys(obstacle.object.identity for obstacle in some))
        advice = " ".join(list(dict.fromkeys(obstacle.remedy for obstacle in some))[:MAX_REMEDIES])
        if instead := list(dict.fromkeys(statement for obstacle in some for statement in obstacle.instead)):
            advice += f" Or have its owner run: {listed(instead, MAX_REMEDIES, '; ')};"
        if all(obstacle.object.kind in SAID_KINDS for obstacle in some):
            advice += " Or set owners: best_effort, which leaves out and names what can't be given"
        found.append(error(OWNERSHIP, f"role {role} of the target may not {reason}, as it has to for {names}", advice))
    return found


def sequences_question(catalog: Catalog) -> Question:
    """Which sequences the role can't read."""
    statement = (
        "SELECT concat(c.oid::regclass) FROM unnest(%s::oid[]) AS wanted (oid) JOIN pg_class c ON c.oid = wanted.oid "
        "WHERE NOT (has_schema_privilege(c.relnamespace, 'USAGE') AND has_sequence_privilege(wanted.oid, 'SELECT')) "
        "ORDER BY 1"
    )
    return statement, ([sequence.oid for sequence in catalog.sequences],)


def row_security_question(catalog: Catalog) -> Question:
    """Of which tables policies may hide rows."""
    return (
        "SELECT concat(t::regclass) FROM unnest(%s::oid[]) AS t WHERE row_security_active(t) ORDER BY 1",
        ([table.oid for table in catalog.tables],),
    )


def sequences(ends: Ends, catalog: Catalog) -> Finding:
    """That the role can read where the source's sequences stand, which is needed only after the rows."""
    refused = fetch(ends.source, *sequences_question(catalog))
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
    hidden = fetch(ends.source, *row_security_question(catalog))
    if not hidden:
        return passed(ROW_SECURITY, "hides nothing")
    ((role,),) = fetch(ends.source, "SELECT current_user")
    names = ", ".join(row[0] for row in hidden)
    return error(
        ROW_SECURITY,
        f"row-level security may hide rows of the source from role {role}, in {names}",
        f"Let their owner do the migration, or run as a superuser: ALTER ROLE {quoted(role)} BYPASSRLS;",
    )
