"""What runs at set times, once it is switched on: a migration, a comparison, the pruning of old runs."""

from typing import Any

import dagster as dg

from pg_migration.orchestration import environment
from pg_migration.orchestration.jobs.migrate import MIGRATE
from pg_migration.orchestration.jobs.prune import PRUNE
from pg_migration.orchestration.jobs.validate import VALIDATE
from pg_migration.orchestration.settings import current


def _run_config(_context: dg.ScheduleEvaluationContext) -> dict[str, Any]:
    return environment.run_config()


def build_schedules() -> list[dg.ScheduleDefinition]:
    """All of them off until somebody switches them on."""
    settings = current()
    return [
        dg.ScheduleDefinition(
            name="nightly_migrate",
            job_name=MIGRATE,
            cron_schedule=settings.migrate_cron,
            run_config_fn=_run_config,
            execution_timezone=settings.timezone,
            description="Copies everything again. Its page in the UI can also start the job once: Preview tick result.",
        ),
        dg.ScheduleDefinition(
            name="hourly_validate",
            job_name=VALIDATE,
            cron_schedule=settings.validate_cron,
            run_config_fn=_run_config,
            execution_timezone=settings.timezone,
            description="Compares source and target as they are.",
        ),
        dg.ScheduleDefinition(
            name="weekly_prune",
            job_name=PRUNE,
            cron_schedule=settings.prune_cron,
            execution_timezone=settings.timezone,
            description="Deletes what Dagster recorded of old runs.",
        ),
    ]
