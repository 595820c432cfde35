"""What runs at set times, once it is switched on: a migration, a comparison."""

from typing import Any

import dagster as dg

from pg_migration.orchestration.location.names import MIGRATE, VALIDATE
from pg_migration.orchestration.pair import Pair
from pg_migration.orchestration.settings import current


def build_schedules(pair: Pair) -> list[dg.ScheduleDefinition]:
    """Off until somebody switches them on, but for those that the pair names."""
    settings = current()

    def run_config(_context: dg.ScheduleEvaluationContext) -> dict[str, Any]:
        return pair.started_config()

    def schedule(name: str, job: str, default: str, description: str) -> dg.ScheduleDefinition:
        on = job in pair.schedule
        return dg.ScheduleDefinition(
            name=pair.named(name),
            job_name=pair.named(job),
            cron_schedule=pair.schedule.get(job, default),
            run_config_fn=run_config,
            execution_timezone=pair.timezone,
            default_status=dg.DefaultScheduleStatus.RUNNING if on else dg.DefaultScheduleStatus.STOPPED,
            description=description,
        )

    return [
        schedule(
            "nightly_migrate",
            MIGRATE,
            settings.migrate_cron,
            "Copies everything again. Its page in the UI can also start the job once: Preview tick result.",
        ),
        schedule("hourly_validate", VALIDATE, settings.validate_cron, "Compares source and target as they are."),
    ]
