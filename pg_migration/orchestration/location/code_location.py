"""What the code location knows of the source when it loads: tables and foreign keys, which become assets.

The source is asked once per process. When it can't be reached, the last known listing stands in, and says so: a
database that is down must not take the code location down with it.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import psycopg2

from pg_migration.orchestration import environment
from pg_migration.orchestration.settings import current
from pg_migration.postgres.catalog import ListedColumn, TableListing, list_tables
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.errors import ConfigurationError, MigrationError, server_message
from pg_migration.postgres.hashing.copied_rows import copied_rows, has_digests
from pg_migration.postgres.migration.schemas import EVERY_SCHEMA, map_schemas

_LOG = logging.getLogger(__name__)

# So many tables take Dagster more than a few seconds.
MANY = 1000


@dataclass(frozen=True)
class Location:
    """The tables that assets are made of.

    ``schemas`` maps source to target names. ``problem`` says why the source could not be asked; the listing is then the
    last known one, or empty.
    """

    schemas: Mapping[str, str]
    tables: tuple[TableListing, ...]
    problem: str | None = None


@cache
def load() -> Location:
    """Ask the source what there is. Never raises: what is wrong is in ``problem``, and in every run that is started."""
    try:
        settings, source = current(), environment.endpoint(Side.SOURCE)
        with Connections("pg_migration code location") as connections:
            connection = connections.open(source)
            schemas = map_schemas(settings.source_schema, settings.target_schema, connection)
            found = Location(schemas, list_tables(connection, schemas))
    except (MigrationError, psycopg2.Error) as error:
        problem = str(error) if isinstance(error, MigrationError) else server_message(error)
        # Whoever reads the log of a container sees a healthy one otherwise.
        _LOG.warning("the code location could not ask the source for its tables: %s", problem)
        return _last_known(problem)
    except Exception as error:
        _LOG.exception("the source could not be asked for its tables")
        return _last_known(f"{type(error).__name__}: {error}")
    _remember(found)
    if len(found.tables) >= MANY:
        # Else nothing is heard of `dagster job execute` for half a minute.
        _LOG.warning("%s tables become assets, and Dagster plans a run of them: a moment", f"{len(found.tables):,}")
    return found


def _remember(location: Location) -> None:
    try:
        path = _path()
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(
            json.dumps({"schemas": location.schemas, "tables": [asdict(t) for t in location.tables]}), encoding="utf-8"
        )
        draft.replace(path)
    except (OSError, ConfigurationError):
        return  # a home that can't be written, or none, only costs the stand-in


def _last_known(problem: str) -> Location:
    try:
        known = json.loads(_path().read_text(encoding="utf-8"))
        return Location(known["schemas"], tuple(_listing(t) for t in known["tables"]), problem)
    except (OSError, ValueError, KeyError, TypeError, ConfigurationError):
        return _copied(problem)


def _copied(problem: str) -> Location:
    """The tables that were copied, by the ledger in the target: where nothing else is known of the source, also when it
    is gone for good.
    """
    try:
        settings, target = current(), environment.endpoint(Side.TARGET)
        with Connections("pg_migration code location") as connections:
            connection = connections.open(target)
            known = copied_rows(connection) if has_digests(connection) else {}
            every = settings.source_schema.strip() == EVERY_SCHEMA
            schemas = (
                {name: name for name, _ in known}
                if every
                else map_schemas(settings.source_schema, settings.target_schema)
            )
            sources = {there: name for name, there in schemas.items()}
            listed = list_tables(connection, {there: there for there in sources})
            tables = (replace(t, schema=sources[t.schema]) for t in listed if (t.schema, t.name) in known)
            return Location(schemas, tuple(tables), problem)
    except (MigrationError, psycopg2.Error):
        return Location({}, (), problem)


def _listing(known: Mapping[str, Any]) -> TableListing:
    return TableListing(
        known["schema"],
        known["name"],
        known["kind"],
        known["comment"],
        tuple(ListedColumn(**column) for column in known["columns"]),
        tuple((schema, name) for schema, name in known["references"]),
    )


def _path() -> Path:
    """One file for each source, whoever reads it, and choice of schemas."""
    settings = current()
    choice = (environment.place(Side.SOURCE), settings.source_schema, settings.target_schema)
    return environment.own_folder() / f"catalog-{hashlib.sha256(repr(choice).encode()).hexdigest()[:16]}.json"
