"""What stands in the way of a pair's migration, for programs."""

from pg_migration.orchestration.pair import Pair
from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.migration.use_cases import preflight as look
from pg_migration.postgres.preflight import Finding
from pg_migration.postgres.preflight.finding import misuse

DATABASES = "databases"


def preflight(pair: Pair) -> list[Finding]:
    """Everything that stands in the way of a migration with the pair's defaults, and what to do about it.

    Nothing is written. A variable that is not set is a finding as others are.

    Raises:
        ConfigurationError: when the schemas of the pair do not fit together.
    """
    pair.check()
    try:
        migration = pair.migration(pair.options)
    except ConfigurationError as wrong:
        return [misuse(DATABASES, str(wrong), "Set the variable, in the environment or in a file .env")]
    return look(migration)
