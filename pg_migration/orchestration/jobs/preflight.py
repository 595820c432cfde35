"""Job ``preflight``: everything that a migration demands and more, looked at without writing anything.

`migrate` looks at the same things by itself before it writes, so this is for the days before: it goes on after an
error, and tells all of it at once.
"""

from collections.abc import Iterator

import dagster as dg

from pg_migration.orchestration.location.names import PREFLIGHT
from pg_migration.orchestration.metadata import findings_table, findings_text
from pg_migration.orchestration.notifications.channels import channels
from pg_migration.orchestration.pair import Pair
from pg_migration.orchestration.run_tags import PAIR_TAG
from pg_migration.orchestration.runs.failures import MISUSED, fail_if, show_stacks
from pg_migration.orchestration.runs.resource import migration_of
from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.migration.prerequisites import look
from pg_migration.postgres.preflight import (
    Finding,
    Severity,
    passed,
    warning,
)

NOTIFICATIONS = "notifications"


def build_preflight(pair: Pair) -> dg.JobDefinition:
    """The job of a pair."""

    @dg.op(
        name=pair.named("preflight_checks"),
        description="Versions, encodings, collations, extensions, privileges, connections, disk space, long "
        "transactions, replication, primary keys, and what is not copied.",
        required_resource_keys={pair.resource},
    )
    def preflight_checks(context: dg.OpExecutionContext) -> dg.Output[None]:
        migration = migration_of(context, pair)
        show_stacks()
        migration.log = context.log
        findings = [*look_at_notifications(), *look(migration)]
        context.log.info("\n" + findings_text(findings))
        errors = [str(found) for found in findings if found.severity is Severity.ERROR]
        migration.outcomes.findings += findings
        migration.outcomes.failures += errors
        table = {"preflight": findings_table(findings)}
        kind = MISUSED if any(found.misuse for found in findings) else {}
        fail_if(errors, f"a migration would be refused, for {len(errors)} reason(s)", {**table, **kind})
        return dg.Output(None, metadata=table)

    @dg.job(
        name=pair.named(PREFLIGHT),
        tags={PAIR_TAG: pair.places},
        description="Looks whether the migration can go ahead, and says what to do about what stands in its way. "
        "Writes nothing, and fails when `migrate` would be refused.",
        executor_def=dg.in_process_executor,
    )
    def job() -> None:
        preflight_checks()

    return job


def look_at_notifications() -> Iterator[Finding]:
    """Whether the channels that are configured can be used."""
    ways = list(channels())
    for way in ways:
        if isinstance(way, ConfigurationError):
            yield warning(NOTIFICATIONS, str(way), "Set it, or unset the rest")
    if names := [way.name for way in ways if not isinstance(way, ConfigurationError)]:
        yield passed(NOTIFICATIONS, f"by {' and '.join(names)}")
    elif not ways:
        yield passed(NOTIFICATIONS, "none are configured")
