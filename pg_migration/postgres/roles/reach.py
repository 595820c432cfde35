"""What the role that writes to the target may do there on behalf of others.

A superuser may do everything. Whoever is none has to be a member of a role to give it something, to grant in its name,
and to go on with what belongs to it. PostgreSQL docs: CREATE ROLE, GRANT ("GRANT on Roles"), Role Membership.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.sql_files import sql_file

MEMBERSHIP_OPTIONS_SINCE = 160000
DATABASE_OWNER = "pg_database_owner"


@dataclass(frozen=True)
class Membership:
    """What one may do with a role.

    ``usable``: its privileges are one's own. ``settable``: one may become it, and give things to it. ``grantable``: one
    may make oneself a member.
    """

    usable: bool
    settable: bool
    grantable: bool


@dataclass(frozen=True)
class Reach:
    """The role that connects, what it may do with every role of its server, and whether missing ones will be made."""

    role: str
    superuser: bool
    database: str
    version: int
    memberships: Mapping[str, Membership]
    creates_roles: bool

    def has(self, role: str) -> bool:
        """Whether there is, or will be, such a role."""
        return role in self.memberships or (self.creates_roles and not is_reserved(role))

    def may_own(self, role: str) -> bool:
        """Whether things can be given to a role so that one may go on with them."""
        found = self.memberships.get(role)
        return found.settable and found.usable if found else self.has(role)

    def may_become(self, role: str) -> bool:
        """Whether one may grant in the name of a role."""
        found = self.memberships.get(role)
        return found.settable if found else self.has(role)

    def remedy(self, role: str) -> str:
        """Who should run what, so that the role that connects may act for another one."""
        found = self.memberships.get(role)
        me, other = quoted(self.role), quoted(role)
        if role == DATABASE_OWNER:
            return f"As a superuser run: ALTER DATABASE {quoted(self.database)} OWNER TO {me};"
        if self.version >= MEMBERSHIP_OPTIONS_SINCE:
            statement = f"GRANT {other} TO {me} WITH INHERIT TRUE, SET TRUE;"
        elif found and found.settable:
            statement = f"ALTER ROLE {me} INHERIT;"
        else:
            statement = f"GRANT {other} TO {me};"
        if found and found.grantable:
            return f"Role {self.role} may run this itself: {statement}"
        return f"As a superuser, or a role that may grant {role}, run: {statement}"


def is_reserved(role: str) -> bool:
    """Whether only a server can make a role of this name. PostgreSQL docs: CREATE ROLE, Predefined Roles."""
    return role.startswith("pg_")


def quoted(name: str) -> str:
    """A name as an identifier in a statement that a person is to run."""
    return '"' + name.replace('"', '""') + '"'


@cache
def reach_query() -> str:
    """What `reach_of` asks."""
    return sql_file("roles/reach.sql")


def reach_of(connection: Connection, create_roles: bool = False) -> Reach:
    """Ask a server what the role that connects may do with its roles.

    Args:
        create_roles: whether roles that are missing will be made; counted only where the role may do so.
    """
    rows = fetch(connection, reach_query())
    role, superuser, may_create, database = rows[0][:4]
    members = {name: Membership(usable, settable, grantable) for *_, name, usable, settable, grantable in rows}
    return Reach(role, superuser, database, connection.server_version, members, create_roles and may_create)


@dataclass(frozen=True)
class Standing:
    """How the role that connects stands to what is in the target's schemas.

    ``foreign`` are objects (pg_depend's classid and objid) whose owner's rights it does not have, and that owner; an
    extension counts where any of its members is such an object. ``lending`` are the schemas in which it may grant
    CREATE, ``creators`` pairs of schema and role that may create there. ``may_create_schemas`` is CREATE on the
    database. ``superusers_languages`` are those in which it may not write functions, ``wrappers`` the foreign-data
    wrappers that it may use. ``owns_database`` tells whether it has the rights of the database's owner;
    ``superusers_parameters`` are those that others may not set.
    """

    foreign: Mapping[tuple[int, int], str]
    lending: frozenset[str]
    creators: frozenset[tuple[str, str]]
    may_create_schemas: bool
    superusers_languages: frozenset[str]
    wrappers: frozenset[str]
    owns_database: bool
    superusers_parameters: frozenset[str]


def standing_of(connection: Connection, schemas: Collection[str]) -> Standing:
    """Ask the target how the role that connects stands in some schemas."""
    foreign = fetch(connection, sql_file("roles/reach_objects.sql"), {"schemas": list(schemas)})
    rows = fetch(connection, sql_file("roles/reach_schemas.sql"), {"schemas": list(schemas)})
    ((may_create, languages, wrappers, owns_database, parameters),) = fetch(
        connection,
        "SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'), ARRAY("
        "SELECT lanname::pg_catalog.text FROM pg_catalog.pg_language "
        "WHERE NOT lanpltrusted OR NOT pg_catalog.has_language_privilege(oid, 'USAGE')), ARRAY("
        "SELECT fdwname::pg_catalog.text FROM pg_catalog.pg_foreign_data_wrapper "
        "WHERE pg_catalog.has_foreign_data_wrapper_privilege(oid, 'USAGE')), "
        "(SELECT pg_catalog.pg_has_role(datdba, 'USAGE') FROM pg_catalog.pg_database "
        "WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()), ARRAY("
        "SELECT name FROM pg_catalog.pg_settings "
        "WHERE context OPERATOR(pg_catalog.<>) ALL (ARRAY['user', 'backend']))",
    )
    return Standing(
        {(classid, objid): owner for classid, objid, owner in foreign},
        frozenset(schema for schema, lends, _ in rows if lends),
        frozenset((schema, role) for schema, _, creators in rows for role in creators),
        may_create,
        frozenset(languages),
        frozenset(wrappers),
        owns_database,
        frozenset(parameters),
    )


def lent(connection: Connection, wanted: Collection[tuple[str, str, str]]) -> frozenset[tuple[str, str, str]]:
    """Of some privileges on schemas (schema, role, privilege), those that a role lacks and that can be granted."""
    if not wanted:
        return frozenset()
    names = [list(column) for column in zip(*sorted(wanted), strict=True)]
    return frozenset(fetch(connection, sql_file("roles/reach_lent.sql"), names))
