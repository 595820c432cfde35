"""The sensor that tells of failed runs that could not do so themselves."""

import dagster as dg

from pg_migration.orchestration.location.known_pairs import pair_of
from pg_migration.orchestration.notifications.channels import channels
from pg_migration.orchestration.notifications.notify import failure_mark, send
from pg_migration.orchestration.notifications.run_report import report_of_record
from pg_migration.orchestration.run_tags import NOTIFIED_TAG, SNAPSHOT_OF


@dg.run_failure_sensor(
    name="failed_runs",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells, by Slack and e-mail as the environment says, of failed runs that could not tell it themselves: "
    "killed, refused, never started.",
)
def failed_runs(context: dg.RunFailureSensorContext) -> None:
    """The sensor that tells of runs which could not tell themselves: one for all pairs of the location."""
    run = context.instance.get_run_by_id(context.dagster_run.run_id) or context.dagster_run
    if SNAPSHOT_OF in run.tags or run.tags.get(NOTIFIED_TAG) == failure_mark(run.run_id):
        return
    if (pair := pair_of(run)) is None:
        return
    reasons = [event.message for event in context.get_step_failure_events() if event.message]
    told = report_of_record(pair, run, reasons or [context.failure_event.message or ""])
    send(told, list(channels()), context.log.warning)
