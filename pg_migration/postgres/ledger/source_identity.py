"""Which database a connection leads to, so that it is known again when its address or its server has changed."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.endpoint import Endpoint
from pg_migration.postgres.connection.statements import fetch

WHICH = """
SELECT oid::bigint, datname::text, has_function_privilege('pg_control_system()', 'EXECUTE')
FROM pg_database WHERE datname = current_database()
"""
SYSTEM = "SELECT concat(system_identifier) FROM pg_control_system()"

_DESCRIPTION = re.compile(r"postgresql://(?:[^@/]*@)?(?P<host>.*?)(?::(?P<port>[\d,]+))?/(?P<database>[^/]*)")


@dataclass(frozen=True)
class Identity:
    """One database.

    ``system`` is what initdb numbers a cluster with: its standbys have it, too, pg_upgrade gives another one, and not
    every role may ask for it. ``places`` are the addresses that lead here, as configured and as the server was reached.
    """

    system: str | None
    major: int
    database: int
    name: str
    places: tuple[str, ...]

    @classmethod
    def of(cls, connection: Connection, end: Endpoint) -> "Identity":
        """The database at one end."""
        ((database, name, may_ask),) = fetch(connection, WHICH)
        system = None
        if may_ask:
            ((system,),) = fetch(connection, SYSTEM)
        places = {place_in(end.description), place_in(end.reached(connection)), place_in(end.described_as_written)}
        return cls(system, connection.server_version // 10000, database, name, tuple(sorted(places)))

    @classmethod
    def recorded(cls, record: Mapping[str, Any]) -> "Identity":
        """From what `as_record` wrote."""
        return cls(**{**record, "places": tuple(record["places"])})

    def as_record(self) -> dict[str, Any]:
        """For the ledger."""
        return asdict(self)

    def differs_from(self, then: "Identity") -> str | None:
        """Why this is not the database that it was at an earlier time; None when it is.

        A cluster keeps its number when a standby takes over or its address changes; a database in it is the same as
        long as its number or its name is. With another number, the same address leads to the same database only after
        an upgrade to a newer major version. Where one of the numbers is not known, the address decides.
        """
        same_place = bool(set(self.places) & set(then.places))
        if self.system is None or then.system is None:
            return None if same_place else f"at another address, {_named(then.places)}"
        if self.system == then.system:
            same = self.database == then.database or self.name == then.name
            return None if same else f"another database of this server, {then.name}"
        if not same_place:
            return f"on another server, {_named(then.places)}"
        if self.major > then.major:
            return None
        return f"on another server that was at this address, {_named(then.places)} (its system identifier was another)"


def place_in(description: str) -> str:
    """Host, port and database of a description of an endpoint; all names of this machine are one."""
    found = _DESCRIPTION.fullmatch(description)
    if found is None:
        return description
    host = found["host"]
    local = host in ("", "localhost", "127.0.0.1", "::1") or host.startswith("/")
    return f"{'localhost' if local else host}:{found['port'] or '5432'}/{found['database']}"


def _named(places: tuple[str, ...]) -> str:
    return " or ".join(places)
