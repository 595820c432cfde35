"""What the code location knows of the source when it loads: tables and foreign keys, which become assets.

When the source can't be reached, the last known listing stands in, and says so: a database that is down must not take
the code location down with it.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psycopg2

from pg_migration.orchestration import environment
from pg_migration.orchestration.pair import Pair
from pg_migration.postgres.catalog import ListedColumn, TableListing, list_contents, list_tables
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.errors import ConfigurationError, MigrationError, server_message
from pg_migration.postgres.hashing.copied_rows import copied_rows, has_digests
from pg_migration.postgres.large_objects.owned import has_brought_large_objects
from pg_migration.postgres.migration.schemas import EVERY_SCHEMA, map_schemas

_LOG = logging.getLogger(__name__)

# So many tables take Dagster more than a few seconds.
MANY = 1000


@dataclass(frozen=True)
class Location:
    """What the assets of a pair are made of: the source's tables, and large objects if it has any.

    ``schemas`` maps source to target names. ``problem`` says why the source could not be asked; the listing is then the
    last known one, or empty. ``kept`` says that nobody asks the source when the location is loaded.
    """

    pair: Pair
    schemas: Mapping[str, str]
    tables: tuple[TableListing, ...]
    problem: str | None = None
    has_large_objects: bool = False
    kept: bool = False

    @property
    def renewal(self) -> str:
        """What to do so that the location knows what the source has now."""
        reload = "reload the code location (in the UI: Deployment, Reload)"
        return f"refresh its state with `dg utils refresh-defs-state`, and {reload}" if self.kept else reload

    def as_json(self) -> str:
        """What is known, less the pair."""
        known = {
            "schemas": self.schemas,
            "tables": [asdict(t) for t in self.tables],
            "problem": self.problem,
            "large_objects": self.has_large_objects,
        }
        return json.dumps(known)

    @classmethod
    def from_json(cls, pair: Pair, text: str) -> "Location":
        """What `as_json` wrote.

        Raises:
            ValueError: when it is something else.
        """
        try:
            known = json.loads(text)
            tables = tuple(map(_listing, known["tables"]))
            return cls(pair, known["schemas"], tables, known.get("problem"), known.get("large_objects", False))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no listing of tables: {error!r}") from error


def load(pair: Pair) -> Location:
    """Ask the source what there is. Never raises: what is wrong is in ``problem``, and in every run that is started."""
    try:
        found = ask(pair)
    except (MigrationError, psycopg2.Error) as error:
        problem = str(error) if isinstance(error, MigrationError) else server_message(error)
        # Whoever reads the log of a container sees a healthy one otherwise.
        _LOG.warning("the code location could not ask the source%s for its tables: %s", _of(pair), problem)
        return last_known(pair, problem)
    except Exception as error:
        _LOG.exception("the source%s could not be asked for its tables", _of(pair))
        return last_known(pair, f"{type(error).__name__}: {error}")
    if len(found.tables) >= MANY:
        # Else nothing is heard of `dagster job execute` for half a minute.
        _LOG.warning("%s tables become assets, and Dagster plans a run of them: a moment", f"{len(found.tables):,}")
    return found


def ask(pair: Pair) -> Location:
    """Ask the source what there is, and remember it.

    Raises:
        MigrationError, psycopg2.Error: it can't be asked.
    """
    with Connections("pg_migration code location") as connections:
        connection = connections.open(pair.endpoint(Side.SOURCE))
        schemas = map_schemas(*pair.schemas, connection)
        contents = list_contents(connection, schemas)
    found = Location(pair, schemas, contents.tables, has_large_objects=contents.has_large_objects)
    _remember(found)
    return found


def _of(pair: Pair) -> str:
    return f" of {pair}" if pair.name else ""


def _remember(location: Location) -> None:
    try:
        path = _path(location.pair)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(location.as_json(), encoding="utf-8")
        draft.replace(path)
    except (OSError, ConfigurationError):
        return  # a home that can't be written, or none, only costs the stand-in


def last_known(pair: Pair, problem: str) -> Location:
    """What was known when the source was asked last, with the reason why nobody knows what there is now."""
    return remembered(pair, problem) or _copied(pair, problem)


def remembered(pair: Pair, problem: str) -> Location | None:
    """As `last_known`, as far as this machine has kept it: no server is asked."""
    try:
        return replace(Location.from_json(pair, _path(pair).read_text(encoding="utf-8")), problem=problem)
    except (OSError, ValueError, ConfigurationError):
        return None


def _copied(pair: Pair, problem: str) -> Location:
    """The tables that were copied, by the ledger in the target: where nothing else is known of the source, also when it
    is gone for good.
    """
    try:
        with Connections("pg_migration code location") as connections:
            connection = connections.open(pair.endpoint(Side.TARGET))
            known = copied_rows(connection) if has_digests(connection) else {}
            every = pair.schemas[0].strip() == EVERY_SCHEMA
            schemas = {name: name for name, _ in known} if every else map_schemas(*pair.schemas)
            sources = {there: name for name, there in schemas.items()}
            listed = list_tables(connection, {there: there for there in sources})
            tables = (replace(t, schema=sources[t.schema]) for t in listed if (t.schema, t.name) in known)
            return Location(pair, schemas, tuple(tables), problem, has_brought_large_objects(connection))
    except (MigrationError, psycopg2.Error):
        return Location(pair, {}, (), problem)


def _listing(known: Mapping[str, Any]) -> TableListing:
    return TableListing(
        known["schema"],
        known["name"],
        known["kind"],
        known["comment"],
        tuple(ListedColumn(**column) for column in known["columns"]),
        tuple((schema, name) for schema, name in known["references"]),
    )


def _path(pair: Pair) -> Path:
    """One file for each source, whoever reads it, and choice of schemas."""
    choice = (pair.place(Side.SOURCE), *pair.schemas)
    return environment.own_folder() / f"catalog-{hashlib.sha256(repr(choice).encode()).hexdigest()[:16]}.json"
