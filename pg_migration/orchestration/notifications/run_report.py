"""What a message says of a run."""

import html
from collections.abc import Iterable, Mapping, Sequence

import dagster as dg
from tabulate import tabulate

from pg_migration.orchestration import environment
from pg_migration.orchestration.metadata import cell, markdown_text
from pg_migration.orchestration.notifications.message import Message
from pg_migration.orchestration.pair import Pair
from pg_migration.orchestration.reports.write import report_address
from pg_migration.orchestration.settings import current
from pg_migration.orchestration.table_results import TableResult, table_result
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.figures import count
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.reporting.store import PAGE

MAX_ROWS = 50

Row = Mapping[str, object]


def report_of_run(run: MigrationRun, pair: Pair, record: dg.DagsterRun, failures: Sequence[str]) -> Message:
    names = sorted({*run.outcomes.loaded, *run.outcomes.failed, *run.outcomes.checks})
    # What went wrong comes first, then what is large.
    results = sorted(
        (table_result(run, name) for name in names), key=lambda result: (result.is_good, -(result.rows or 0))
    )
    return _message(pair, record, failures, [*run.cautions, *run.outcomes.notes], results)


def report_of_record(pair: Pair, record: dg.DagsterRun, reasons: Sequence[str]) -> Message:
    return _message(pair, record, reasons, [], [])


def _message(
    pair: Pair, record: dg.DagsterRun, failures: Sequence[str], notes: Sequence[str], results: Sequence[TableResult]
) -> Message:
    source, target = (pair.known_endpoint(side) for side in Side)
    database = target.database if target else "no database"
    subject = f"pg_migration: {record.job_name} {'FAILED' if failures else 'succeeded'}: {database}"
    facts = {
        **({"pair": pair.name} if pair.name else {}),
        "source": source.description if source else "not configured",
        "target": target.description if target else "not configured",
        "run": _link(record.run_id),
        **_report(pair, record.run_id),
        "tables": count(len(results)),
        "rows": count(sum(result.rows or 0 for result in results)),
    }
    shown = [result.row for result in results[:MAX_ROWS]]
    rest = f"and {count(len(results) - MAX_ROWS)} more tables" if len(results) > MAX_ROWS else ""
    parts = [
        "\n".join(f"{name + ':':8} {value}" for name, value in facts.items()),
        _listed("Failures", failures),
        markdown_text(shown) if shown else "",
        rest,
        _listed("Notes", notes),
    ]
    body = [
        f"<h3>{html.escape(subject)}</h3>",
        "<p>" + "<br>".join(f"{name}: {html.escape(value)}" for name, value in facts.items()) + "</p>",
        _html_list("Failures", failures),
        _html_table(shown) if shown else "",
        f"<p>{rest}</p>" if rest else "",
        _html_list("Notes", notes),
    ]
    text, page = "\n\n".join(filter(None, parts)), "\n".join(filter(None, body))
    ends = [end for end in (source, target) if end is not None]
    return Message(subject, _scrubbed(ends, text), _scrubbed(ends, page))


def _listed(title: str, lines: Sequence[str]) -> str:
    return "\n".join([title, *(f"- {line}" for line in lines)]) if lines else ""


def _html_list(title: str, lines: Sequence[str]) -> str:
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"<h4>{title}</h4><ul>{items}</ul>" if lines else ""


def _html_table(rows: Sequence[Row]) -> str:
    # A bar needs no escaping here.
    cells = [{name: cell(value).replace("\\|", "|") for name, value in row.items()} for row in rows]
    return str(tabulate(cells, headers="keys", tablefmt="html", disable_numparse=True))


def _link(run_id: str) -> str:
    base = current().ui_url.rstrip("/")
    return f"{base}/runs/{run_id}" if base else run_id


def _report(pair: Pair, run_id: str) -> dict[str, str]:
    try:
        folder = environment.reports_folder(pair.name)
    except ConfigurationError:
        return {}
    page = folder / run_id / PAGE if folder is not None else None
    return {"report": report_address(pair, page) or str(page)} if page is not None and page.exists() else {}


def _scrubbed(ends: Iterable[Endpoint], text: str) -> str:
    """A text without the passwords of both databases; nothing should have put one there."""
    for end in ends:
        text = end.scrub(text)
    return text
