"""What commands print on standard output."""

import sys
from pathlib import Path

from rich.console import Console

from pg_migration.reporting import filing, terminal
from pg_migration.reporting.model import Report

# Where nobody looks at a screen, lines are as long as they are.
WIDTH_OF_FILES = 200


def print_report(report: Report, folder: Path, as_json: bool) -> None:
    """Print a report, for programs or for people."""
    if as_json:
        sys.stdout.write(report.as_json().decode() + "\n")
        return
    width = None if sys.stdout.isatty() else WIDTH_OF_FILES
    console = Console(file=sys.stdout, highlight=False, markup=False, soft_wrap=False, width=width)
    terminal.show(report, console, str(folder / report.run_id / filing.PAGE))
