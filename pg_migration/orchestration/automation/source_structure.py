"""The sensor that tells of changes to the structure of the source."""

import base64
import json
import zlib
from collections.abc import Mapping

import dagster as dg
import psycopg2

from pg_migration.orchestration.automation.source_rows import WATCH_INTERVAL_SECONDS, message_of
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.notifications.notify import tell
from pg_migration.postgres.catalog import discover
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.migration.schemas import EVERY_SCHEMA, map_schemas
from pg_migration.postgres.source_changes.structure import changes, fingerprint


def build_source_structure_changed(relations: Relations) -> dg.SensorDefinition:
    """The sensor that tells of changes to the source's structure since it looked last."""

    @dg.sensor(
        name=relations.pair.named("source_structure_changed"),
        minimum_interval_seconds=WATCH_INTERVAL_SECONDS,
        description="Compares the source's structure with what it was at the tick before, and tells the differences: "
        "here, and by Slack and e-mail as the environment says. It starts nothing.",
    )
    def source_structure_changed(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            now = _fingerprint(relations)
        except (MigrationError, psycopg2.Error) as error:
            return dg.SkipReason(message_of(error))
        cursor = _pack(now)
        if not context.cursor:
            return dg.SensorResult(skip_reason=f"{len(now):,} objects; changes are told from now on", cursor=cursor)
        lines = changes(_unpack(context.cursor), now)
        if not lines:
            return dg.SkipReason("nothing changed")
        tell(
            f"the structure of the source{' of ' + str(relations.pair) if relations.pair.name else ''} changed",
            [*lines, "", f"Before the next run {relations.location.renewal}, so that new tables become assets."],
            context.log.warning,
        )
        return dg.SensorResult(skip_reason="\n".join(lines), cursor=cursor)

    return source_structure_changed


def _fingerprint(relations: Relations) -> dict[str, str]:
    pair = relations.pair
    with Connections("pg_migration source_structure_changed") as connections:
        source = connections.open(pair.endpoint(Side.SOURCE))
        schemas = map_schemas(*pair.schemas, source)  # of all schemas some may be new
        whole = pair.schemas[0].strip() == EVERY_SCHEMA
        return fingerprint(discover(source, schemas, with_large_objects=False, readable=False, whole=whole))


def _pack(known: Mapping[str, str]) -> str:
    return base64.b64encode(zlib.compress(json.dumps(known).encode())).decode()


def _unpack(cursor: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(zlib.decompress(base64.b64decode(cursor)))
    return found
