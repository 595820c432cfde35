"""The asset ``validation``: what differs now, since when, and what to do about it."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import takewhile

import dagster as dg

from pg_migration.orchestration.dagster_internals.running import REPOSITORY_LABEL_TAG
from pg_migration.orchestration.dagster_internals.storing import CheckRecord, CheckStatus
from pg_migration.orchestration.location.names import AFTER_ROWS, LARGE_OBJECTS, MIGRATE, REPAIR, VALIDATION
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.metadata import Figure, table
from pg_migration.orchestration.run_tags import own_label
from pg_migration.orchestration.storage.reading import ever_failed, last_statuses
from pg_migration.postgres.figures import counted

# As the summary: it tells of the checks that the run has made, so it comes after all of them.
AFTER_CHECKS = {"dagster/priority": "-50"}

JUDGED = {CheckStatus.SUCCEEDED, CheckStatus.FAILED}
# How far back a difference is followed, in evaluations of its check.
MAX_HISTORY = 200


@dataclass(frozen=True)
class Differing:
    """A check that did not pass when it was made last.

    ``since`` is the first of its evaluations without one that passed in between; ``at_least`` where there are more than
    were looked at.
    """

    check: dg.AssetCheckKey
    verdict: str
    since: datetime
    at_least: bool


def build_validation(
    relations: Relations, checks: Collection[dg.AssetCheckKey], after: Collection[dg.AssetKey]
) -> dg.AssetsDefinition:
    """The asset of what these checks, all of the pair, have found last.

    Args:
        after: what it comes after in the graph. Assets without blocking checks: it would not be made where one fails.
    """

    @dg.asset(
        key=relations.key(VALIDATION),
        group_name=relations.pair.named(AFTER_ROWS),
        deps=after,
        op_tags=AFTER_CHECKS,
        output_required=False,
        description="What differs between source and target, since when, and what to do about it: the last verdict of "
        "every check. The jobs validate, migrate and repair write it.",
    )
    def validation(context: dg.AssetExecutionContext) -> Iterator[dg.AssetMaterialization]:
        # As the summary, it has no output.
        yield dg.AssetMaterialization(context.asset_key, metadata=validation_metadata(context, relations, checks))

    return validation


def validation_metadata(
    context: dg.AssetExecutionContext | dg.OpExecutionContext,
    relations: Relations,
    checks: Collection[dg.AssetCheckKey],
) -> dict[str, Figure]:
    """What the asset shows: the last verdicts of these checks."""
    instance, log = context.instance, context.instance.event_log_storage
    location = context.run.tags.get(REPOSITORY_LABEL_TAG, own_label())
    last = last_statuses(instance, checks)
    made = [key for key, status in last.items() if status in JUDGED]
    # A run plans all its checks when it begins; of those that it does not come to, an earlier verdict is the last one.
    left = [key for key, status in last.items() if status not in JUDGED]
    suspect = [*(key for key in made if last[key] is CheckStatus.FAILED), *ever_failed(instance, left)]
    judged = [record for key in suspect for record in log.get_asset_check_execution_history(key, 1, status=JUDGED)]
    failed = [record for record in judged if record.status is CheckStatus.FAILED]
    differing = sorted((_differing(instance, record) for record in failed), key=lambda found: str(found.check))
    figures: dict[str, Figure] = {
        "verdict": _verdict(len(made), len(differing), len(left), len(checks) - len(last)),
        "differing_checks": len(differing),
    }
    if differing:
        figures["what_to_do"] = dg.MetadataValue.md(_advice(relations, differing, location))
        figures["what_differs"] = table([_row(relations, found) for found in differing])
    return figures


def _differing(instance: dg.DagsterInstance, last: CheckRecord) -> Differing:
    history = instance.event_log_storage.get_asset_check_execution_history(last.key, limit=MAX_HISTORY, status=JUDGED)
    failed = list(takewhile(lambda record: record.status is CheckStatus.FAILED, history))
    evaluation, first = last.evaluation, failed[-1] if failed else last
    verdict = evaluation.description if evaluation is not None else None
    since = datetime.fromtimestamp(first.create_timestamp, timezone.utc)
    return Differing(last.key, verdict or "it did not pass", since, len(failed) == MAX_HISTORY)


def _verdict(made: int, differing: int, left: int, never: int) -> str:
    """In one sentence; what is not known is never said to be equal."""
    unknown = [f"{counted(left, 'check')} not made by the last run that was to"] if left else []
    unknown += [f"{counted(never, 'check')} never made"] if never else []
    if differing:
        told = f"{counted(differing, 'check')} did not pass"
    elif unknown:
        told = f"not everything was compared: {counted(made, 'check')} passed"
    else:
        told = f"nothing differs: {counted(made, 'check')} passed"
    return ", ".join([told, *unknown])


def _row(relations: Relations, found: Differing) -> dict[str, object]:
    key = found.check.asset_key
    return {
        "what": ".".join(relations.tables_by_key.get(key, key.path)),
        "check": found.check.name,
        "verdict": found.verdict.partition("; ")[0],  # the page of the check has the rest
        "since": f"{'before ' if found.at_least else ''}{found.since:%Y-%m-%d %H:%M} UTC",
    }


def _advice(relations: Relations, differing: Iterable[Differing], location: str) -> str:
    """Contents are repaired; all else is made by a migration. The links are relative to the page of an asset."""
    of_rows = {*relations.tables_by_key, relations.key(LARGE_OBJECTS)}
    contents = any(found.check.asset_key in of_rows for found in differing)
    job, why = (REPAIR, "reloads what differs") if contents else (MIGRATE, "makes the target like the source")
    launchpad = (
        f"{'../' * len(relations.key(VALIDATION).path)}locations/{location}/jobs/{relations.pair.named(job)}/playground"
    )
    return f"Open the [Launchpad of {job}]({launchpad}) and press *Launch Run*. It {why}."
