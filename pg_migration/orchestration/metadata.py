"""Metadata that the UI shows: tables as markdown, column schemas, figures."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from tabulate import tabulate

from pg_migration.orchestration.table_results import rows_per_second
from pg_migration.postgres.catalog import Catalog, Column
from pg_migration.postgres.connection.literals import readable
from pg_migration.postgres.figures import Bytes, Seconds, count, duration, size
from pg_migration.postgres.planning.forecast import Forecast
from pg_migration.postgres.planning.key_ranges import ALL
from pg_migration.postgres.preflight import Finding, Severity, worst_first
from pg_migration.postgres.transfer.events import RangeLoaded, TableLoaded
from pg_migration.postgres.transfer.progress import Progress, percent

MIB = 1024 * 1024
LONGEST_UNBROKEN = 12

Figure = dg.MetadataValue[Any] | dg.TableSchema | int | float | str


MASKED = "masked"
"""The tag of a column whose values are not those of the source."""


def table(rows: Sequence[Mapping[str, object]]) -> dg.MetadataValue[Any]:
    """Rows as a table, which the UI shows at once, however long it is. It hides longer markdown behind a button."""
    if not rows:
        return dg.MetadataValue.text("none")
    return dg.MetadataValue.table([dg.TableRecord({name: _unbroken(value) for name, value in r.items()}) for r in rows])


def _unbroken(value: object) -> str:
    """A cell, in which a figure and its unit stay in one line, as other short texts."""
    told = cell(value, plain=True)
    return told.replace(" ", "\u00a0") if len(told) <= LONGEST_UNBROKEN else told


def markdown_text(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows as a markdown table; numbers right-aligned with thousands separators."""
    if not rows:
        return "none"
    cells = [{name: cell(value) for name, value in row.items()} for row in rows]
    aligned = ["right" if all(_is_number(row[name]) for row in rows) else "left" for name in rows[0]]
    return str(tabulate(cells, headers="keys", tablefmt="pipe", disable_numparse=True, colalign=aligned))


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def cell(value: object, plain: bool = False) -> str:
    """A value as people write it, in one line that markdown takes for one cell, or in plain text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Bytes):
        return size(value)
    if isinstance(value, Seconds):
        return duration(value)
    if isinstance(value, int):
        return count(value)
    if isinstance(value, float):
        return f"{value:,.1f}"
    # A cell is one line, and a bar would end it in markdown.
    line = " ".join(readable(str(value)).split())
    return line if plain else line.replace("|", "\\|")


def findings_table(findings: Sequence[Finding]) -> dg.MetadataValue[Any]:
    """What preflight found, what stops the migration first."""
    return table(_findings_rows(findings))


def findings_text(findings: Sequence[Finding]) -> str:
    """As `findings_table`, as plain text."""
    return markdown_text(_findings_rows(findings))


def _findings_rows(findings: Sequence[Finding]) -> list[dict[str, object]]:
    return [
        {
            "check": found.check,
            "result": found.severity.value if found.severity is Severity.PASSED else found.severity.value.upper(),
            "verdict": found.verdict,
            "what to do": found.advice,
        }
        for found in worst_first(findings)
    ]


def sql_block(statements: Sequence[str]) -> dg.MarkdownMetadataValue:
    """SQL as a code block."""
    if not statements:
        return dg.MetadataValue.md("nothing had to be run")
    text = ";\n\n".join(statement.rstrip("; \n") for statement in statements)
    fence = "````" if "```" in text else "```"
    return dg.MetadataValue.md(readable(f"{fence}sql\n{text};\n{fence}"))


def column_schema(columns: Sequence[Column], masks: Mapping[str, str] | None = None) -> dg.TableSchema:
    """A table's columns for ``dagster/column_schema``; those that are masked have a tag that says how."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=readable(column.name),
                type=readable(column.type),
                description=_column_note(column),
                constraints=dg.TableColumnConstraints(nullable=not column.not_null),
                tags={MASKED: masks[column.name]} if masks and column.name in masks else None,
            )
            for column in columns
        ]
    )


def _column_note(column: Column) -> str | None:
    if column.generated:
        return readable(f"generated: {column.default}")
    if column.identity:
        return f"identity, generated {'always' if column.identity == 'a' else 'by default'}"
    return readable(f"default: {column.default}") if column.default else None


def catalog_metadata(catalog: Catalog) -> dict[str, Figure]:
    """Counts per kind, and the tables with their sizes."""
    return {
        "objects": table([{"kind": kind, "count": number} for kind, number in sorted(catalog.counts.items())]),
        "tables": table(
            [
                {
                    "table": f"{table.schema}.{table.name}",
                    "columns": len(table.columns),
                    "estimated rows": max(0, round(table.reltuples)) if table.reltuples >= 0 else None,
                    "bytes": Bytes(table.bytes),
                    "primary key": ", ".join(table.primary_key),
                }
                for table in sorted(catalog.tables, key=lambda t: (-t.bytes, t.schema, t.name))
            ]
        ),
        "not_copied": table([{"kind": n.kind, "name": n.name, "reason": n.reason} for n in catalog.notices]),
        "server_version": f"{catalog.version // 10000}.{catalog.version % 10000}",
    }


def load_metadata(done: TableLoaded) -> dict[str, Figure]:
    """The figures of one table's load.

    Those of ranges have other names than those of a whole table, as the UI plots all that have one name in one line.
    """
    size: dict[str, Figure]
    if done.covers_table:
        size = {"dagster/row_count": done.rows, "bytes": done.bytes}
    elif len(done.ranges) == 1:
        size = range_metadata(done.ranges[0])
    else:
        size = {"range_rows": done.rows, "range_bytes": done.bytes}
    transform = done.plan.table.transform
    return {
        **size,
        **({"chosen_and_masked": readable(transform.told)} if transform is not None else {}),
        "dagster/column_schema": column_schema(
            done.plan.table.columns, dict(transform.kinds) if transform is not None else None
        ),
        "seconds": round(done.seconds, 3),
        "build_seconds": round(done.build_seconds, 3),
        "rows_per_second": rows_per_second(done),
        "ranges": len(done.ranges),
        "chunks": done.plan.chunk_count,
        "wire_format": done.plan.wire_format,
    }


def materializations(key: dg.AssetKey, done: TableLoaded) -> Iterator[dg.AssetMaterialization]:
    """What a run records that has loaded a table whose ranges it planned itself: each range, then the table.

    The one range of a table that was not cut is the table: one event says both.
    """
    if [piece.key for piece in done.ranges] == [ALL]:
        yield dg.AssetMaterialization(key, partition=ALL, metadata=load_metadata(done))
        return
    for piece in done.ranges:
        yield dg.AssetMaterialization(key, partition=piece.key, metadata=range_metadata(piece))
    yield dg.AssetMaterialization(key, metadata=load_metadata(done))


def range_metadata(done: RangeLoaded) -> dict[str, Figure]:
    """The figures of one key range, in a run that loads several."""
    return {"dagster/partition_row_count": done.rows, "range_bytes": done.bytes}


def plan_metadata(found: Forecast) -> dict[str, Figure]:
    """The plan as asset metadata."""
    return {
        "plan": table(forecast_rows(found)),
        "planned_rows": found.rows,
        "planned_bytes": found.bytes,
        "planned_chunks": found.chunks,
        "planned_workers": found.workers,
        **(
            {"planned_large_objects": found.large_objects, "planned_large_object_bytes": found.large_object_bytes}
            if found.large_objects
            else {}
        ),
        "estimated_seconds": round(found.seconds, 1),
    }


def progress_metadata(found: Progress) -> dict[str, Figure]:
    """How far a run is: what each worker does, the tables that are on their way, and the rest."""
    rows = {status.table: status for status in found.tables}
    return {
        "progress": f"{found.phase}: {found.total}",
        "workers": table(
            [
                {
                    "table": worker.table,
                    "does": f"{worker.activity} {worker.detail}".strip(),
                    "done": f"{percent(worker.share)} %" if worker.share is not None else None,
                    "rows": f"{status.rows:,} of {status.expected_rows:,}" if status else None,
                    "MiB/s": worker.bytes_per_second / MIB if worker.bytes_per_second is not None else None,
                    "for": Seconds(worker.seconds),
                }
                for worker in found.workers
                for status in [rows.get(worker.table)]
            ]
        ),
    }


def forecast_rows(found: Forecast) -> list[dict[str, object]]:
    transforms = any(table.transform for table in found.tables)
    return [
        {
            "order": number,
            "table": table.table,
            "rows": table.rows,
            "bytes": Bytes(table.bytes),
            "format": table.wire_format,
            "cut by": table.cut_by,
            "ranges": len(table.ranges),
            "chunks": table.chunks,
            "frozen": table.frozen,
            "seconds": Seconds(table.seconds),
            **({"chosen and masked": table.transform} if transforms else {}),
        }
        for number, table in enumerate(found.tables, 1)
    ]
