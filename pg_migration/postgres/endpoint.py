"""The two ends of a migration: which server, which database, which schemas."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import quote

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn

from pg_migration.postgres.errors import ConfigurationError


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
            ConfigurationError: when it is missing or libpq can't read it. The text itself is never repeated, since a
                malformed URL may show the password in any place.
        """
        if url is None or not url.strip():
            raise ConfigurationError(
                f"{variable} is not set: give the {side.value} database as a URI, for example "
                f"postgresql://user:password@host:5432/database, or as a key=value connection string."
            )
        try:
            parameters = parse_dsn(url.strip())
        except psycopg2.Error:
            raise ConfigurationError(
                f"{variable} is not a connection string that PostgreSQL's libpq can read. Expected "
                f"postgresql://user:password@host:5432/database or key=value pairs; percent-encode special characters "
                f"in a URI. (The text is not repeated here, as it may hold a password.)"
            ) from None
        return cls(side, make_dsn(**parameters))

    @property
    def parameters(self) -> Mapping[str, str]:
        """libpq's connection parameters, by their libpq names, the password included."""
        return parse_dsn(self.conninfo)

    @property
    def description(self) -> str:
        """Where this is, for people: ``postgresql://user@host:port/database`` without the password."""
        known = self.parameters
        user = quote(known["user"], safe="") + "@" if "user" in known else ""
        host = known.get("host") or known.get("hostaddr") or "localhost"
        port = ":" + known["port"] if "port" in known else ""
        return f"postgresql://{user}{host}{port}/{known.get('dbname', '')}"

    def scrub(self, message: str) -> str:
        """``message`` with this endpoint's password, plain or percent-encoded, replaced by ``***``."""
        secret = self.parameters.get("password")
        if not secret:
            return message
        forms = sorted({secret, quote(secret, safe="")}, key=len, reverse=True)
        return re.sub("|".join(map(re.escape, forms)), "***", message)
