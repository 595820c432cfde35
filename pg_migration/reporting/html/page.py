"""The report as one HTML page that needs nothing else: styles and pictures are in it, and it fetches nothing."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from pg_migration.reporting import formats
from pg_migration.reporting.html.charts import draw
from pg_migration.reporting.model import CheckReport, Report

# So many lines of one kind have a field to filter them by.
MANY = 20


def render(report: Report) -> str:
    """The page. Every text in it that comes from a database or a setting is escaped."""
    failed, passed = _split(report.checks)
    script = _script() if max(len(report.tables), len(report.checks)) > MANY else None
    return _template().render(
        report=report,
        charts=draw(report),
        checks_failed=failed,
        checks_passed=passed,
        states=_states(report),
        MANY=MANY,
        script=script,
        script_source=_source(script) if script else Markup("'none'"),
    )


@cache
def _script() -> Markup:
    return Markup(files("pg_migration.reporting.html").joinpath("filter.js").read_text(encoding="utf-8"))


def _source(script: str) -> Markup:
    """What a browser is told that it may run: this text and nothing else, whatever a name in the page may hold."""
    return Markup(f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'")


def _split(checks: tuple[CheckReport, ...]) -> tuple[list[CheckReport], list[CheckReport]]:
    return [check for check in checks if not check.passed], [check for check in checks if check.passed]


def _states(report: Report) -> Mapping[str, int]:
    """How many tables there are of each state, in the order of the table."""
    counted: dict[str, int] = {}
    for table in report.tables:
        counted[table.state] = counted.get(table.state, 0) + 1
    return counted


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("pg_migration.reporting.html", ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=lambda value: formats.readable(value) if type(value) is str else value,
    )
    environment.filters.update(
        count=formats.count,
        size=formats.size,
        duration=formats.duration,
        forecast=formats.forecast,
        moment=_moment,
        scalar=_scalar,
    )
    return environment.get_template("page.html")


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else ""


def _scalar(value: object) -> str:
    """A setting's value, as it is written in the run configuration."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
