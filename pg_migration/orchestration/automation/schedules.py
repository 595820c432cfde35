"""What runs at set times, once it is switched on: a migration, a comparison."""

import dagster as dg

from pg_migration.orchestration.automation.following import why_not_start
from pg_migration.orchestration.location.names import MIGRATE, VALIDATE
from pg_migration.orchestration.pair import Pair
from pg_migration.orchestration.settings import current


def build_schedules(pair: Pair) -> list[dg.ScheduleDefinition]:
    """Off until somebody switches them on, but for those that the pair names."""
    settings = current()

    def schedule(name: str, job: str, default: str, description: str) -> dg.ScheduleDefinition:
        on = job in pair.schedule

        def tick(_context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
            reason = why_not_start(pair, pair.named(job))
            return dg.SkipReason(reason) if reason is not None else dg.RunRequest(run_config=pair.started_config())

        return dg.ScheduleDefinition(
            name=pair.named(name),
            job_name=pair.named(job),
            cron_schedule=pair.schedule.get(job, default),
            execution_fn=tick,
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
