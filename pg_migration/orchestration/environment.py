"""What the environment says of the one pair of databases and of the places of our own files, ready to be used."""

import os
from pathlib import Path

from pg_migration.orchestration.pair import Pair
from pg_migration.orchestration.settings import current, listed
from pg_migration.postgres.errors import ConfigurationError

SOURCE_URL = "PG_MIGRATION_SOURCE_URL"
TARGET_URL = "PG_MIGRATION_TARGET_URL"
REPLICATION_URL = "PG_MIGRATION_REPLICATION_URL"
WAY_BACK_URL = "PG_MIGRATION_WAY_BACK_URL"
NO_REPORTS = "off"


def pair() -> Pair:
    """The one pair that the variables describe, in whose names there is no prefix. Nothing is looked at yet."""
    settings = current()
    return Pair(
        source=SOURCE_URL,
        target=TARGET_URL,
        replication=REPLICATION_URL,
        way_back=WAY_BACK_URL,
        on_cutover=settings.on_cutover,
        source_schemas=settings.source_schema,
        target_schemas=settings.target_schema,
        timezone=settings.timezone,
        run_config=settings.run_config,
        transform=settings.transform,
        owners=listed(settings.owners),
        fresh_within_hours=settings.fresh_within_hours,
    )


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


def reports_folder(name: str = "") -> Path | None:
    """Where the reports of a pair's runs are written; None when they are switched off.

    Args:
        name: of the pair, whose reports are in a folder of their own.

    Raises:
        ConfigurationError: as `own_folder`.
    """
    chosen = current().reports
    if chosen.lower() == NO_REPORTS:
        return None
    return (Path(chosen) if chosen else own_folder() / "reports") / name
