"""The two ends of a migration: which server, which database, which schemas."""

import ipaddress
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from urllib.parse import quote

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import make_dsn, parse_dsn

from pg_migration.postgres.connection.service_files import from_service
from pg_migration.postgres.errors import ConfigurationError

# libpq's parameters that nobody may see (PostgreSQL docs: "Parameter Key Words").
SECRETS = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
# What libpq takes from the environment where neither the text nor a service says it (docs: "Environment Variables").
_VARIABLES = {"host": "PGHOST", "hostaddr": "PGHOSTADDR", "port": "PGPORT", "dbname": "PGDATABASE", "user": "PGUSER"}

_URI = re.compile(r"postgres(?:ql)?://")
_HOST_NAME = re.compile(r"[\w.-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
HIGHEST_PORT = 65535


class Side(str, Enum):
    """Which end of the migration a server stands at; its value is how messages name it."""

    SOURCE = "source"
    TARGET = "target"


@dataclass(frozen=True)
class Endpoint:
    """One end: a side and how to connect to it.

    ``conninfo`` is a complete libpq connection string and may hold a password: it is kept out of ``repr``. What people
    see is ``description``.
    """

    side: Side
    conninfo: str = field(repr=False)

    @classmethod
    def parse(cls, side: Side, url: str | None, variable: str) -> "Endpoint":
        """Read a libpq URI or key=value DSN.

        Args:
            side: which end this is.
            url: the text as configured; None or blank counts as missing.
            variable: the name of the setting, for messages.

        Raises:
            ConfigurationError: when it is missing, when libpq can't read it, or when libpq reads a piece of the
                password as something else. The text itself is never repeated, since it may show the password in any
                place.
        """
        if url is None or not url.strip():
            raise ConfigurationError(
                f"{variable} is not set: give the {side.value} database as a URI, for example "
                f"postgresql://user:password@host:5432/database, or as a key=value connection string."
            )
        text = url.strip()
        try:
            parameters = parse_dsn(text)
        except psycopg2.Error:
            raise ConfigurationError(
                f"{variable} is not a connection string that PostgreSQL's libpq can read. Expected "
                f"postgresql://user:password@host:5432/database or key=value pairs; percent-encode special characters "
                f"in a URI: a / in a password is written %2F. (The text is not repeated here, as it may hold a "
                f"password.)"
            ) from None
        made = cls(side, make_dsn(**parameters))
        if misread := [*_misread_in_text(text, parameters), *_misread(made.address)]:
            raise ConfigurationError(
                f"{variable} can't be used: libpq reads a part of it as {misread[0]}. Percent-encode special "
                f"characters in user, password and database of a URI: a / in a password is written %2F, an @ %40, a : "
                f"%3A. (The text is not repeated here, as it may hold a password.)"
            )
        return made

    @property
    def parameters(self) -> Mapping[str, str]:
        """libpq's connection parameters, by their libpq names, the password included."""
        return parse_dsn(self.conninfo)

    @cached_property
    def address(self) -> Mapping[str, str]:
        """As `parameters`, with what libpq adds to them: from a service file, then from the environment."""
        given = dict(self.parameters)
        service = given.get("service") or os.environ.get("PGSERVICE")
        found = {**(from_service(service) if service else {}), **given}
        for name, variable in _VARIABLES.items():
            if not found.get(name) and (value := os.environ.get(variable)):
                found[name] = value
        return {**found, "service": service} if service else found

    @property
    def database(self) -> str:
        """The database's name; libpq takes the role's where none is named."""
        return self.address.get("dbname") or self.address.get("user") or ""

    def at(self, database: str) -> "Endpoint":
        """Another database of the same server, for the same role."""
        return Endpoint(self.side, make_dsn(self.conninfo, dbname=database))

    @property
    def uri(self) -> str:
        """As a URI, with the password: whoever gets it has to keep it secret. Every character in it is harmless."""
        known = {name: value for name, value in self.parameters.items() if value}
        host, port = known.get("host", ""), known.get("port", "")
        if _HOST_NAME.fullmatch(host) or not host:
            known.pop("host", None), known.pop("port", None)
            place = host + (f":{port}" if port else "")
        else:  # a folder of sockets, an address of version 6, several hosts
            place = ""
        user, password = (quote(known.pop(name, ""), safe="") for name in ("user", "password"))
        who = f"{user}{':' + password if password else ''}@" if user else ""
        if password and not user:
            known["password"] = self.parameters["password"]
        database = quote(known.pop("dbname", ""), safe="")
        rest = "&".join(f"{name}={quote(value, safe='')}" for name, value in known.items())
        return f"postgresql://{who}{place}/{database}{'?' + rest if rest else ''}"

    @property
    def server(self) -> str:
        """One word for the server: `place` without the database."""
        return self.place.removesuffix(f"/{self.database}")

    @property
    def place(self) -> str:
        """One word for the database, the same for every way to write its address and for every role."""
        known = self.address
        if "service" in known and not _says_where(known):
            return f"service={known['service']}"
        host = known.get("host") or known.get("hostaddr") or "localhost"
        return f"{host}:{known.get('port') or '5432'}/{self.database}"

    @property
    def description(self) -> str:
        """Where this is, for people: ``postgresql://user@host:port/database`` without the password."""
        known = self.address
        if "service" in known and not _says_where(known):
            return f"service={known['service']}"
        return _described(
            known.get("user"),
            known.get("host") or known.get("hostaddr") or "localhost",
            known.get("port"),
            self.database,
        )

    @property
    def described_as_written(self) -> str:
        """As `description`, without what libpq adds from elsewhere."""
        known = self.parameters
        host = known.get("host") or known.get("hostaddr") or "localhost"
        return _described(known.get("user"), host, known.get("port"), known.get("dbname", ""))

    def reached(self, connection: Connection) -> str:
        """As `description`, of the server that answered: one of several hosts, or what a service stands for."""
        info = connection.info
        return _described(info.user, info.host or "localhost", str(info.port), info.dbname)

    def scrub(self, message: str) -> str:
        """``message`` with this endpoint's secrets, plain or percent-encoded, replaced by ``***``."""
        secrets = {self.address[name] for name in SECRETS if self.address.get(name)}
        if not secrets:
            return message
        forms = sorted({form for secret in secrets for form in (secret, quote(secret, safe=""))}, key=len, reverse=True)
        return re.sub("|".join(map(re.escape, forms)), "***", message)


def _says_where(known: Mapping[str, str]) -> bool:
    return any(known.get(name) for name in ("host", "hostaddr", "port", "dbname"))


def _described(user: str | None, host: str, port: str | None, database: str) -> str:
    return f"postgresql://{quote(user, safe='') + '@' if user else ''}{host}{':' + port if port else ''}/{database}"


def _misread_in_text(text: str, parameters: Mapping[str, str]) -> Iterator[str]:
    """What can't be meant as libpq reads it, as far as only the text shows it: decoded, an ``@`` may be in any name."""
    if _CONTROL.search(text):
        yield "a line break or another control character"
    if (start := _URI.match(text)) is None:
        database = parameters.get("dbname", "")
        if "@" in database or "://" in database:
            yield "a database whose name has an @ or ://, which takes a URI"
        return
    rest = text[start.end() :]
    # libpq looks for the user before the first slash, and takes the first @ for its end (docs: "Connection URIs").
    user, at, after = rest.partition("@")
    if not at or "/" in user:
        user, after = "", rest
    place, _, query = after.partition("?")
    if "@" in place:
        yield "a host or database with an @ in it"
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if "@" in value and name not in SECRETS and not (name == "user" and not user):
            yield "a parameter with an @ in it"


def _misread(known: Mapping[str, str]) -> Iterator[str]:
    """What of the parameters that people are shown can't be what it is taken for."""
    if not all(_is_host(host) for name in ("host", "hostaddr") for host in known.get(name, "").split(",")):
        yield "a host, which can't be the name or the address of one"
    if not all(_is_port(port.strip()) for port in known.get("port", "").split(",")):
        yield "a port, which is no number of one"
    if "://" in known.get("dbname", ""):
        yield "a database whose name has ://"
    if ":" in known.get("user", "") and "password" not in known:
        yield "a user with a : in its name, and no password"


def _is_host(host: str) -> bool:
    """Whether this may be a host: nothing, a folder or abstract name of Unix sockets, a name or an address."""
    if not host or host[0] in "/@" or _HOST_NAME.fullmatch(host):
        return True
    try:
        ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_port(port: str) -> bool:
    return not port or (port.isascii() and port.isdigit() and 0 < int(port) <= HIGHEST_PORT)
