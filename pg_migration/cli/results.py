"""What came of a command for many pairs: one table, or JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tabulate import tabulate

from pg_migration.cli.exit_status import FAILED, MISUSED, SUCCEEDED
from pg_migration.cli.stopped import STOPPED
from pg_migration.reporting import formats
from pg_migration.reporting.model import FILLED

WORDS = {SUCCEEDED: "succeeded", FAILED: "FAILED", MISUSED: "can't be run", STOPPED: "stopped"}
LONGEST_REASON = 100


@dataclass(frozen=True)
class Outcome:
    """What came of it for one pair: the exit status, and the report as JSON has it or a message where there is none."""

    pair: str
    status: int
    report: Mapping[str, Any] | None
    message: str | None
    seconds: float | None

    @property
    def told(self) -> str:
        """In one line."""
        took = f", after {formats.duration(self.seconds)}" if self.seconds is not None else ""
        return f"{WORDS.get(self.status, 'FAILED')}{took}{': ' + self.reason if self.reason else ''}"

    @property
    def reason(self) -> str:
        """Why it did not succeed: the first thing that is said."""
        if self.status == SUCCEEDED:
            return ""
        failures = (self.report or {}).get("failures") or []
        return formats.on_one_line(str(failures[0] if failures else self.message or ""))

    def row(self) -> Mapping[str, object]:
        """The columns of the table."""
        report = self.report or {}
        tables = [t for t in report.get("tables", ()) if t.get("state") in FILLED]
        checks, findings = report.get("checks", ()), report.get("findings", ())
        warnings = sum(finding.get("severity") == "warning" for finding in findings)
        reason = self.reason
        return {
            "pair": self.pair,
            "result": WORDS.get(self.status, "FAILED"),
            "tables": f"{len(tables):,}",
            "rows": f"{sum(t.get('rows') or 0 for t in tables):,}",
            "size": formats.size(sum(t.get("bytes") or 0 for t in tables)),
            "checks passed": f"{sum(bool(c.get('passed')) for c in checks):,} of {len(checks):,}",
            "warnings": f"{warnings:,}",
            "time": formats.duration(self.seconds) if self.seconds is not None else "",
            "why": reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON].rstrip()}...",
        }


# Of what each job has nothing to say.
_WITHOUT = {
    "preflight": ("tables", "rows", "size", "checks passed"),
    "validate": ("tables", "rows", "size", "warnings"),
    "migrate": ("warnings",),
}


def table(job: str, outcomes: Sequence[Outcome]) -> str:
    """One line for each pair, and one for all."""
    left_out = {*_WITHOUT.get(job, ()), *(() if any(o.reason for o in outcomes) else ("why",))}
    rows = [{name: value for name, value in o.row().items() if name not in left_out} for o in outcomes]
    right = [name in ("tables", "rows", "size", "warnings", "time") for name in rows[0]]
    shown = tabulate(
        [list(row.values()) for row in rows],
        headers=list(rows[0]),
        tablefmt="simple",
        disable_numparse=True,
        colalign=["right" if r else "left" for r in right],
    )
    good = sum(outcome.status == SUCCEEDED for outcome in outcomes)
    return f"{shown}\n\n{job}: {good:,} of {len(outcomes):,} pairs succeeded\n"


def as_json(outcomes: Sequence[Outcome]) -> str:
    """The same for programs, with the whole report of each."""
    told = {"succeeded": status_of_all(outcomes) == SUCCEEDED, "pairs": [asdict(outcome) for outcome in outcomes]}
    return json.dumps(told, indent=2) + "\n"


def status_of_all(outcomes: Sequence[Outcome]) -> int:
    """The exit status of the command: that of success only where all have it."""
    found = {outcome.status for outcome in outcomes}
    return SUCCEEDED if found <= {SUCCEEDED} else STOPPED if STOPPED in found else FAILED
