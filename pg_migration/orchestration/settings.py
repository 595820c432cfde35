"""The environment variables that say what is migrated where."""

import os

from pg_migration.postgres.endpoint import Endpoint, Side
from pg_migration.postgres.errors import ConfigurationError

SOURCE_URL = "PG_MIGRATION_SOURCE_URL"
TARGET_URL = "PG_MIGRATION_TARGET_URL"
SOURCE_SCHEMA = "PG_MIGRATION_SOURCE_SCHEMA"
TARGET_SCHEMA = "PG_MIGRATION_TARGET_SCHEMA"
MIGRATE_CRON = "PG_MIGRATION_MIGRATE_CRON"
VALIDATE_CRON = "PG_MIGRATION_VALIDATE_CRON"
TIMEZONE = "PG_MIGRATION_TIMEZONE"
DEFAULT_SCHEMA = "public"

_URLS = {Side.SOURCE: SOURCE_URL, Side.TARGET: TARGET_URL}


def endpoint(side: Side) -> Endpoint:
    """The database at one end.

    Raises:
        ConfigurationError: when its variable is missing or malformed.
    """
    return Endpoint.parse(side, os.environ.get(_URLS[side]), _URLS[side])


def place(side: Side) -> str:
    """One word for the database at one end, the same for every way to write its address and for every role."""
    try:
        known = endpoint(side).parameters
    except ConfigurationError:
        return "unknown"
    host = known.get("host") or known.get("hostaddr") or "localhost"
    return f"{host}:{known.get('port', '5432')}/{known.get('dbname', '')}"


def source_schemas() -> str:
    """The configured list of source schemas, or ``*``."""
    return os.environ.get(SOURCE_SCHEMA, "").strip() or DEFAULT_SCHEMA


def target_schemas() -> str | None:
    """The configured list of target schemas; None where they keep the source's names."""
    return os.environ.get(TARGET_SCHEMA, "").strip() or None


def migrate_cron() -> str:
    """When the nightly migration runs, as a cron expression in `timezone`."""
    return os.environ.get(MIGRATE_CRON, "").strip() or "0 2 * * *"


def validate_cron() -> str:
    """When the validation runs, as a cron expression in `timezone`."""
    return os.environ.get(VALIDATE_CRON, "").strip() or "30 * * * *"


def timezone() -> str:
    """The time zone of the schedules."""
    return os.environ.get(TIMEZONE, "").strip() or "UTC"
