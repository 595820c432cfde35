"""What the environment says of the databases, the runs and the places of our own files, ready to be used."""

import os
from contextlib import suppress
from datetime import timedelta
from math import inf
from pathlib import Path
from typing import Any

from pg_migration.orchestration.env_file import read_env_file
from pg_migration.orchestration.settings import current, listed
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.migration.definition import Migration
from pg_migration.postgres.migration.options import Options

SOURCE_URL = "PG_MIGRATION_SOURCE_URL"
TARGET_URL = "PG_MIGRATION_TARGET_URL"
PAIR_TAG = "pg_migration/pair"
NO_REPORTS = "off"


def endpoint(side: Side) -> Endpoint:
    """The database at one end.

    Raises:
        ConfigurationError: when its variable is missing or malformed. Also when there is a file ``.env`` that can't be
            read: Dagster goes on without it, with what the environment says.
    """
    with suppress(FileNotFoundError):
        read_env_file(Path.cwd())
    settings = current()
    if side is Side.SOURCE:
        return Endpoint.parse(side, settings.source_url, SOURCE_URL)
    return Endpoint.parse(side, settings.target_url, TARGET_URL)


def place(side: Side) -> str:
    """One word for the database at one end, the same for every way to write its address and for every role."""
    try:
        return endpoint(side).place
    except ConfigurationError:
        return "unknown"


def pair() -> str:
    """The two databases in one word, as `place` names them."""
    return f"{place(Side.SOURCE)} to {place(Side.TARGET)}"


def migration(options: Options) -> Migration:
    """The migration that the environment names.

    Raises:
        ConfigurationError: naming every URL that can't be used. Options and schemas are not looked at.
    """
    source, target = (_endpoint_or_error(side) for side in Side)
    if isinstance(source, Endpoint) and isinstance(target, Endpoint):
        settings = current()
        return Migration(
            source=source,
            target=target,
            source_schemas=settings.source_schema,
            target_schemas=settings.target_schema,
            options=options,
        )
    raise ConfigurationError("\n".join(str(end) for end in (source, target) if isinstance(end, ConfigurationError)))


def _endpoint_or_error(side: Side) -> Endpoint | ConfigurationError:
    try:
        return endpoint(side)
    except ConfigurationError as error:
        return error


def run_config() -> dict[str, Any]:
    """The run configuration that schedules and sensors start with: that of a file, as `-c` takes it, or none.

    Raises:
        ConfigurationError: when the file can't be read or holds something else.
    """
    path = current().run_config
    if not path:
        return {}
    import yaml  # which most commands have no use for

    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"PG_MIGRATION_RUN_CONFIG names {path}, which can't be read: {' '.join(str(error).split())}"
        ) from None
    if not isinstance(found, dict):
        raise ConfigurationError(f"PG_MIGRATION_RUN_CONFIG names {path}, which is not a run configuration")
    return found


def excluded_tables() -> list[str]:
    """The patterns of tables that `run_config` leaves out.

    Raises:
        ConfigurationError: as `run_config`.
    """
    found: Any = run_config()
    for name in ("resources", "migration", "config", "exclude_tables"):
        found = found.get(name) if isinstance(found, dict) else None
    return [str(pattern) for pattern in found] if isinstance(found, list) else []


def owners() -> list[str]:
    """Who is responsible for the assets: e-mail addresses, or team:name."""
    return list(listed(current().owners))


def fresh_within() -> timedelta | None:
    """After which time a table counts as stale; None where nobody said.

    Raises:
        ConfigurationError: when it is no number of hours above 0.
    """
    text = current().fresh_within_hours
    if not text:
        return None
    try:
        hours = float(text)
    except ValueError:
        hours = 0
    if not 0 < hours < inf:
        raise ConfigurationError(f"PG_MIGRATION_FRESH_WITHIN_HOURS is {text!r}, but must be a number of hours above 0")
    return timedelta(hours=hours)


def own_folder() -> Path:
    """Where our own files are kept: with Dagster's records, or in the user's cache when those have no fixed place.

    Raises:
        ConfigurationError: when there is neither: a user without a home, as containers have.
    """
    home = os.environ.get("DAGSTER_HOME")
    if home:
        return Path(home) / "pg_migration"
    try:
        return Path.home() / ".cache" / "pg_migration"
    except RuntimeError:
        raise ConfigurationError(
            "DAGSTER_HOME is not set, and this user has no home folder: set DAGSTER_HOME to a folder of yours"
        ) from None


def default_home() -> Path:
    """Where our commands have Dagster keep its records when there is no DAGSTER_HOME.

    Raises:
        ConfigurationError: as `own_folder`.
    """
    return own_folder() / "dagster_home"


def reports_folder() -> Path | None:
    """Where the reports of runs are written; None when they are switched off.

    Raises:
        ConfigurationError: as `own_folder`.
    """
    chosen = current().reports
    if chosen.lower() == NO_REPORTS:
        return None
    return Path(chosen) if chosen else own_folder() / "reports"
