"""The roles of a server that databases need, and the statements that make them on another one.

Roles belong to a server, not to a database: a migration names those that it needs and makes none unless it is told to.
PostgreSQL docs: CREATE ROLE, GRANT ("GRANT on Roles"), Role Membership; the statements are those of pg_dumpall.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.roles.reach import MEMBERSHIP_OPTIONS_SINCE, is_reserved
from pg_migration.postgres.sql_files import sql_file

# Settings whose values are lists, which the server keeps quoted (PostgreSQL's pg_dump, variable_is_guc_list_quote).
_LISTS = frozenset(
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    }
)

SETTINGS_GRANTED_SINCE = 150000

# Attributes of CREATE ROLE that are not given unless they are named.
_ATTRIBUTES = ("superuser", "createrole", "createdb", "login", "replication", "bypassrls")


@dataclass(frozen=True)
class Role:
    """A role, as CREATE ROLE and ALTER ROLE SET make it.

    ``attributes`` are in lower case: ``login``, ``createdb``... ``password`` is the verifier that the server keeps,
    None where there is none or it can't be read. ``bootstrap`` is the superuser that made the server.
    """

    name: str
    bootstrap: bool
    attributes: frozenset[str]
    inherit: bool
    connection_limit: int
    valid_until: str | None
    comment: str | None
    settings: tuple[str, ...]
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Granted:
    """A membership. ``grantor`` is None for the superuser that made the server; the options are None before 16."""

    role: str
    member: str
    grantor: str | None
    admin: bool
    inherit: bool | None
    set: bool | None


@dataclass(frozen=True)
class OnSetting:
    """A privilege on a setting of the server: SET or ALTER SYSTEM. ``grantee`` is None for everybody."""

    setting: str
    grantee: str | None
    privilege: str
    grantable: bool


@dataclass(frozen=True)
class ServerRoles:
    """Roles of one server, with their memberships and their privileges on settings.

    ``passwords_readable``: whether passwords were to be had.
    """

    roles: tuple[Role, ...]
    memberships: tuple[Granted, ...]
    on_settings: tuple[OnSetting, ...]
    passwords_readable: bool


@dataclass(frozen=True)
class Receiver:
    """The server that is to have them: its roles by name, what these have, and what the role that connects may give."""

    version: int
    superuser: bool
    gives: frozenset[str]
    roles: Mapping[str, Role]
    memberships: frozenset[tuple[str, str]]
    on_settings: frozenset[OnSetting]


def needed_roles(connection: Connection, names: Collection[str], passwords: bool = True) -> ServerRoles:
    """The roles that some roles and the database of a connection need elsewhere.

    Args:
        names: of roles of that server: owners, grantees.
        passwords: whether to read their verifiers, where the role that connects may (pg_authid).
    """
    rows = fetch(connection, sql_file("roles/needed.sql"), {"names": list(names)})
    roles = [_role(*row) for row in rows]
    ((readable,),) = fetch(connection, "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT')")
    if passwords and readable:
        found = fetch(
            connection,
            "SELECT rolname, rolpassword FROM pg_catalog.pg_authid WHERE rolname = ANY (%s::name[])",
            ([role.name for role in roles],),
        )
        verifiers: dict[str, str | None] = dict(found)
        roles = [replace(role, password=verifiers.get(role.name)) for role in roles]
    members = {"members": [role.name for role in roles]}
    known = {role.name for role in roles}
    granted = (Granted(*row) for row in fetch(connection, sql_file("roles/memberships.sql"), members))
    memberships = tuple(g for g in granted if g.role in known or is_reserved(g.role))
    on_settings = tuple(
        OnSetting(*row)
        for row in (
            fetch(connection, sql_file("roles/parameters.sql"), {"names": [*known]})
            if connection.server_version >= SETTINGS_GRANTED_SINCE
            else ()
        )
    )
    return ServerRoles(tuple(roles), memberships, on_settings, readable or not passwords)


def receiver(connection: Connection) -> Receiver:
    """What a server has, and what the role that connects may give there."""
    names = [name for (name,) in fetch(connection, "SELECT rolname FROM pg_catalog.pg_roles")]
    found = needed_roles(connection, names, passwords=False)
    present = {role.name: role for role in found.roles}
    ((me,),) = fetch(connection, "SELECT current_user")
    version, own = connection.server_version, present[me].attributes  # a name with pg_ in front connects nowhere
    gives = _given_by(own, version)
    members = frozenset((granted.role, granted.member) for granted in found.memberships)
    return Receiver(version, "superuser" in own, gives, present, members, frozenset(found.on_settings))


def _given_by(own: frozenset[str], version: int) -> frozenset[str]:
    """The attributes that a role may give to roles that it makes (PostgreSQL docs: CREATE ROLE, "Notes")."""
    if "superuser" in own:
        return frozenset(_ATTRIBUTES)
    if version >= MEMBERSHIP_OPTIONS_SINCE:
        return frozenset({"login", "createrole"} | own)
    return frozenset({"login", "createrole", "createdb"})


def _role(name: str, bootstrap: bool, superuser: bool, inherit: bool, *rest: object) -> Role:
    createrole, createdb, login, replication, bypassrls, limit, valid_until, comment, settings = rest
    values = (superuser, createrole, createdb, login, replication, bypassrls)
    attributes = frozenset(a for a, given in zip(_ATTRIBUTES, values, strict=True) if given)
    assert isinstance(limit, int)
    assert isinstance(settings, list)
    until = None if valid_until is None else str(valid_until)
    return Role(
        name, bootstrap, attributes, inherit, limit, until, None if comment is None else str(comment), tuple(settings)
    )


@dataclass(frozen=True)
class RoleStatement:
    """A statement that makes something of roles; ``secret`` tells that it holds a password's verifier."""

    text: str
    what: str
    secret: bool = False


@dataclass(frozen=True)
class RolesPlan:
    """The statements in order, and what they leave out, for people."""

    statements: tuple[RoleStatement, ...]
    notes: tuple[str, ...]


def plan_roles(needed: ServerRoles, to: Receiver | None, connection: Connection) -> RolesPlan:
    """What to run so that a server has the roles.

    Args:
        to: the server that is to have them; roles that it has are left as they are, but get memberships that they lack.
            None: everything, for any server.
        connection: quotes names and literals.
    """
    return _Planner(needed, to, connection).plan()


class _Planner:
    def __init__(self, needed: ServerRoles, to: Receiver | None, connection: Connection) -> None:
        self._needed, self._to, self._connection = needed, to, connection
        self._notes: list[str] = []

    def plan(self) -> RolesPlan:
        statements = [s for role in self._needed.roles for s in self._made(role)]
        statements += [s for role in self._needed.roles for s in self._said_of(role)]
        statements += [*self._granted(), *self._on_settings()]
        if not self._needed.passwords_readable:
            self._notes.append("passwords can't be read by this role (pg_authid): roles that log in get none")
        return RolesPlan(tuple(statements), tuple(self._notes))

    def _is_there(self, role: Role) -> bool:
        return self._to is not None and role.name in self._to.roles

    def _made(self, role: Role) -> Iterator[RoleStatement]:
        if self._to is not None and (present := self._to.roles.get(role.name)) is not None:
            if different := sorted(present.attributes ^ role.attributes):
                self._notes.append(
                    f"role {role.name} is there and stays as it is; the source's differs in {', '.join(different)}"
                )
            return
        given = [a for a in _ATTRIBUTES if a in role.attributes]
        if self._to is not None and (withheld := [a for a in given if a not in self._to.gives]):
            self._notes.append(f"role {role.name} does not get {', '.join(withheld)}: only a superuser may give that")
            given = [a for a in given if a not in withheld]
        options = [attribute.upper() for attribute in given]
        options += ["NOINHERIT"] if not role.inherit else []
        options += [f"CONNECTION LIMIT {role.connection_limit}"] if role.connection_limit != -1 else []
        options += [f"PASSWORD {self._literal(role.password)}"] if role.password is not None else []
        options += [f"VALID UNTIL {self._literal(role.valid_until)}"] if role.valid_until is not None else []
        text = " ".join([f"CREATE ROLE {self._name(role.name)}", *(["WITH", *options] if options else [])])
        yield RoleStatement(text, f"role {role.name}", role.password is not None)

    def _said_of(self, role: Role) -> Iterator[RoleStatement]:
        if self._is_there(role):
            return
        name = self._name(role.name)
        if role.comment is not None:
            text = f"COMMENT ON ROLE {name} IS {self._literal(role.comment)}"
            yield RoleStatement(text, f"comment on role {role.name}")
        for setting in role.settings:
            parameter, _, value = setting.partition("=")
            written = value if parameter.lower() in _LISTS else self._literal(value)
            text = f"ALTER ROLE {name} SET {self._qualified(parameter)} TO {written}"
            yield RoleStatement(text, f"setting {parameter} of {role.name}")

    def _granted(self) -> Iterator[RoleStatement]:
        """Those of the superuser that made the server first, then of whom these let grant, and so on."""
        there = self._to.memberships if self._to is not None else frozenset()
        waiting = [g for g in self._needed.memberships if (g.role, g.member) not in there]
        superusers = {role.name for role in self._needed.roles if "superuser" in role.attributes}
        grantors: set[tuple[str, str]] = set()
        while waiting:
            possible = [
                granted
                for granted in waiting
                if granted.grantor is None
                or granted.grantor in superusers
                or (granted.role, granted.grantor) in grantors
            ]
            now = possible or waiting  # the rest leans on what is there already
            yield from map(self._grant, now)
            grantors |= {(g.role, g.member) for g in now if g.admin}
            waiting = [g for g in waiting if g not in now]

    def _grant(self, granted: Granted) -> RoleStatement:
        text = f"GRANT {self._name(granted.role)} TO {self._name(granted.member)}"
        if granted.set is not None and (self._to is None or self._to.version >= MEMBERSHIP_OPTIONS_SINCE):
            options = {"ADMIN": granted.admin, "INHERIT": granted.inherit, "SET": granted.set}
            text += " WITH " + ", ".join(f"{name} {str(value).upper()}" for name, value in options.items())
        elif granted.admin:
            text += " WITH ADMIN OPTION"
        if granted.set is False and self._to is not None and self._to.version < MEMBERSHIP_OPTIONS_SINCE:
            self._notes.append(f"{granted.member} may become {granted.role}: WITH SET FALSE came with 16")
        if granted.grantor is not None and (self._to is None or self._to.superuser):
            text += f" GRANTED BY {self._name(granted.grantor)}"
        return RoleStatement(text, f"{granted.member} as a member of {granted.role}")

    def _on_settings(self) -> Iterator[RoleStatement]:
        there = self._to.on_settings if self._to is not None else frozenset()
        for privilege in self._needed.on_settings:
            grantee = privilege.grantee or "PUBLIC"
            if privilege in there:
                continue
            if self._to is not None and self._to.version < SETTINGS_GRANTED_SINCE:
                self._notes.append(f"{grantee} gets no {privilege.privilege} on {privilege.setting}: that came with 15")
                continue
            text = (
                f"GRANT {privilege.privilege} ON PARAMETER {self._qualified(privilege.setting)} "
                f"TO {'PUBLIC' if privilege.grantee is None else self._name(privilege.grantee)}"
            )
            text += " WITH GRANT OPTION" if privilege.grantable else ""
            yield RoleStatement(text, f"{privilege.privilege} on setting {privilege.setting} for {grantee}")

    def _qualified(self, setting: str) -> str:
        return ".".join(map(self._name, setting.split(".")))

    def _name(self, name: str) -> str:
        return sql.Identifier(name).as_string(self._connection)

    def _literal(self, value: str | None) -> str:
        return sql.Literal(value).as_string(self._connection)
