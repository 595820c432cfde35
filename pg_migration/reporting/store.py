"""Where reports are kept: a folder for each run, with the page, the data as JSON, and its tables as CSV.

The CSV is what pandas reads and writes. It is not written with pandas, which takes half a second and 40 MB to import.
"""

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from datetime import datetime, timezone
from pathlib import Path
from uuid import UUID

from pg_migration.reporting.html.page import render
from pg_migration.reporting.model import CheckReport, Report, TableReport, WorkReport

PAGE = "report.html"
DATA = "report.json"
TABLES = "tables.csv"
CHECKS = "checks.csv"
WORK = "timeline.csv"
DRAFT = ".draft"

_FILES = frozenset(name + end for name in (PAGE, DATA, TABLES, CHECKS, WORK) for end in ("", DRAFT))


def write(report: Report, folder: Path) -> Path:
    """Write all files of a report; each is whole or not there. The data comes first: it does not depend on pictures.

    Args:
        folder: where reports are kept; made where it is missing.

    Returns:
        The page.

    Raises:
        OSError: when a file can't be written.
    """
    place = folder / report.run_id
    place.mkdir(parents=True, exist_ok=True)
    _replace(place / DATA, report.as_json())
    for name, lines in ((TABLES, _tables(report)), (CHECKS, _checks(report)), (WORK, _work(report))):
        _replace(place / name, _as_csv(lines))
    _replace(place / PAGE, render(report).encode("utf-8", "backslashreplace"))
    return place / PAGE


def read(folder: Path, run_id: str) -> Report | None:
    """The report of a run; None where there is none that can be read."""
    try:
        return Report.from_json((folder / run_id / DATA).read_bytes())
    except (OSError, ValueError):
        return None


def newest(folder: Path) -> str | None:
    """The run whose report was written last."""
    written = [(path.stat().st_mtime, path.parent.name) for path in folder.glob(f"*/{DATA}")]
    return max(written)[1] if written else None


def matching(folder: Path, beginning: str) -> list[str]:
    """The runs with a report whose identifier begins like this."""
    return sorted(path.parent.name for path in folder.glob(f"*/{DATA}") if path.parent.name.startswith(beginning))


def runs(folder: Path) -> list[str]:
    """The runs that have a folder here. What is a link is none of ours, nor what is not called like a run.

    Raises:
        OSError: when the folder is there and can't be read.
    """
    if not folder.exists():
        return []
    with os.scandir(folder) as found:
        return sorted(e.name for e in found if _is_called_like_a_run(e.name) and e.is_dir(follow_symlinks=False))


def _is_called_like_a_run(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False


def written_at(folder: Path, run_id: str) -> datetime:
    """When the report of a run was written, in UTC.

    Raises:
        OSError: when that can't be told: there is neither page nor data, or they can't be looked at.
    """
    place = folder / run_id
    found = [entry for entry in _entries(place) if entry.name in (PAGE, DATA)]
    if not found:
        raise FileNotFoundError(f"{place} has no {PAGE} and no {DATA}")
    return datetime.fromtimestamp(max(e.stat(follow_symlinks=False).st_mtime for e in found), timezone.utc)


def remove(folder: Path, run_id: str) -> None:
    """Delete the report of a run, if there is nothing else in its folder.

    Raises:
        OSError: when it can't be deleted; nothing was, where the folder holds something else.
    """
    place = folder / run_id
    entries = _entries(place)
    if others := sorted(e.name for e in entries if e.name not in _FILES or not e.is_file(follow_symlinks=False)):
        raise FileExistsError(f"{place} holds more than a report: {', '.join(others)}")
    for entry in entries:
        Path(entry.path).unlink()
    place.rmdir()


def _entries(place: Path) -> "list[os.DirEntry[str]]":
    """What is in a folder.

    Raises:
        OSError: when it can't be read, or is a link.
    """
    if place.is_symlink():
        raise NotADirectoryError(f"{place} is a link")
    with os.scandir(place) as found:
        return list(found)


Line = Sequence[object]


def _tables(report: Report) -> Iterator[Line]:
    names = _names(TableReport)
    yield [*names, "rows_per_second", "bytes_per_second"]
    for table in report.tables:
        values = [" ".join(map(str, table.workers)) if name == "workers" else getattr(table, name) for name in names]
        yield [*values, table.rows_per_second, table.bytes_per_second]


def _checks(report: Report) -> Iterator[Line]:
    names = [name for name in _names(CheckReport) if name not in ("figures", "findings")]
    yield names
    yield from ([getattr(check, name) for name in names] for check in report.checks)


def _work(report: Report) -> Iterator[Line]:
    names = _names(WorkReport)
    yield names
    yield from ([getattr(done, name) for name in names] for done in report.work)


def _names(kind: type[TableReport | CheckReport | WorkReport]) -> list[str]:
    return [column.name for column in fields(kind)]


def _as_csv(lines: Iterable[Line]) -> bytes:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(lines)
    return written.getvalue().encode("utf-8", "backslashreplace")


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_suffix(path.suffix + DRAFT)
    try:
        draft.write_bytes(content)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
