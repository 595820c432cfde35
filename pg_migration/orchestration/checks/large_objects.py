"""The checks of ``large_objects``: the evidence that they are the source's."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from pg_migration.orchestration.location.names import LARGE_OBJECTS
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.metadata import table
from pg_migration.orchestration.runs.concurrency import source_pool
from pg_migration.orchestration.runs.failures import fail_if
from pg_migration.orchestration.runs.resource import migration_of
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.large_objects.result import MAX_TOLD, LargeObjectsFound
from pg_migration.postgres.migration.comparison.verdict import CONTENT
from pg_migration.postgres.migration.steps.large_objects import compare_large_objects

OBJECT_COUNT = "object_count"

_DESCRIPTIONS = {
    OBJECT_COUNT: "As many large objects as in the source, and none that a migration brought and the source has no "
    "more.",
    CONTENT: "A hash over the bytes of every large object on both sides; also size, owner, privileges and comment.",
}


def build_large_object_checks(relations: Relations) -> dg.AssetChecksDefinition:
    """The blocking checks ``object_count`` and ``content`` of all large objects."""
    specs = [
        dg.AssetCheckSpec(name, asset=relations.key(LARGE_OBJECTS), blocking=True, description=description)
        for name, description in _DESCRIPTIONS.items()
    ]

    @dg.multi_asset_check(
        name=relations.pair.named("large_object_checks"),
        specs=specs,
        can_subset=True,
        pool=source_pool(relations.pair),
        required_resource_keys={relations.pair.resource},
    )
    def large_object_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckEvaluation]:
        migration = migration_of(context, relations.pair)
        migration.log = context.log
        told = len(migration.outcomes.failures)
        # A run that has copied them has compared them since, and told what is not the same.
        copied = migration.outcomes.large_objects
        found = copied or compare_large_objects(migration)
        if found is None:
            return
        wanted = {key.name for key in context.selected_asset_check_keys}
        yield from (made for made in evaluations(relations, found) if made.check_name in wanted)
        problems = copied.problems if copied is not None else migration.outcomes.failures[told:]
        fail_if(problems, "the target does not hold the large objects that the source holds")

    return large_object_checks


def evaluations(relations: Relations, found: LargeObjectsFound) -> Iterator[dg.AssetCheckEvaluation]:
    """What Dagster records of a comparison; ``content`` where contents were compared."""
    key = relations.key(LARGE_OBJECTS)
    counts = {"objects_in_source": found.objects, "objects_in_target": found.there}
    complete = not found.failures and not found.gone and found.objects == found.there
    origin = "were copied" if found.by_ledger else "in the source"
    verdict = f"{found.objects:,} large objects {origin}, {found.there:,} of them in the target"
    if found.gone:
        verdict += f", and {len(found.gone):,} that the source has no more"
    yield _evaluation(key, OBJECT_COUNT, complete, found.failures[0] if found.failures else verdict, counts)
    if not found.hashed:
        return
    same = not found.failures and not found.different
    many = len(found.different)
    verdict = f"{many:,} large objects are not the same" if many else f"the same bytes in {found.objects:,} objects"
    hashes = {f"hash_in_{side.value}": found.digest(side) for side in Side}
    differing = [{"large object": d.oid, "what differs": d.what} for d in found.different[:MAX_TOLD]]
    yield _evaluation(
        key,
        CONTENT,
        same,
        found.failures[0] if found.failures else verdict,
        {
            **hashes,
            "bytes": found.bytes,
            "seconds": round(found.seconds, 3),
            **({"first_differences": table(differing)} if differing else {}),
        },
    )


def _evaluation(
    key: dg.AssetKey, name: str, passed: bool, verdict: str, metadata: dict[str, Any]
) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=name,
        passed=passed,
        description=verdict,
        metadata=metadata,
        blocking=True,
    )
