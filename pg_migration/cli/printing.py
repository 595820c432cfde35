"""What commands print on standard output."""

import io
import json
import re
import sys
from pathlib import Path

from rich.console import Console

from pg_migration.cli.streams import put
from pg_migration.reporting import filing, terminal
from pg_migration.reporting.model import Report

# Where nobody looks at a screen, lines are as long as they are.
WIDTH_OF_FILES = 200


def print_report(report: Report, folder: Path, as_json: bool) -> None:
    """Print a report, for programs or for people."""
    if as_json:
        put(_ascii(report.as_json().decode()) + "\n")
        return
    width = None if sys.stdout.isatty() else WIDTH_OF_FILES
    text = _Text()
    console = Console(file=text, highlight=False, markup=False, soft_wrap=False, width=width)
    page = folder / report.run_id / filing.PAGE
    terminal.show(report, console, str(page) if page.is_file() else None)
    put(text.getvalue())


class _Text(io.StringIO):
    """What is going to be printed, so that rich can choose its lines and colours for where that will be."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return sys.stdout.encoding or "utf-8"

    def isatty(self) -> bool:
        return sys.stdout.isatty()


def _ascii(text: str) -> str:
    """JSON in letters that every terminal has; elsewhere than in its strings it has no others."""
    return re.sub(r"[^\x00-\x7f]+", lambda found: json.dumps(found[0])[1:-1], text)
