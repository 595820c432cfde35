"""Whether there is room: connections on both servers, disk space on the target."""

import shutil
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.capacity import SPARE_CONNECTIONS, free_connections
from pg_migration.postgres.catalog import Catalog
from pg_migration.postgres.endpoint import Side
from pg_migration.postgres.preflight.asking import Ends, Intent, ask, names_in_target
from pg_migration.postgres.preflight.finding import Finding, error, passed, warning

CONNECTIONS = "free connections"
DISK_SPACE = "disk space"


def connections(ends: Ends, intent: Intent) -> list[Finding]:
    """That both servers have sessions left for the workers."""
    wanted = intent.workers + SPARE_CONNECTIONS
    found = []
    for side, end in ((Side.SOURCE, ends.source), (Side.TARGET, ends.target)):
        free = free_connections(end)
        if free <= 0:
            found.append(
                error(
                    CONNECTIONS,
                    f"the {side.value} has no free connection left for this role",
                    "End sessions that nobody needs, or raise max_connections",
                )
            )
        elif free < wanted:
            found.append(
                warning(
                    CONNECTIONS,
                    f"the {side.value} has {free} free connections, {wanted} are wanted: fewer workers will copy",
                    "End sessions that nobody needs, raise max_connections, or set fewer workers",
                )
            )
        else:
            found.append(passed(CONNECTIONS, f"{free} on the {side.value}, {wanted} are wanted"))
    return found


def disk_space(ends: Ends, catalog: Catalog) -> Finding:
    """What the rows and indexes take on the target, against what is free there where that can be known.

    Never an error: the source's files may be bloated, and the copy then takes less.
    """
    ((tables, indexes),) = ask(ends.source, "sizes", tables=[table.oid for table in catalog.tables])
    ((present,),) = ask(ends.target, "present_sizes", **names_in_target(catalog))
    need = f"up to {_size(tables + indexes)} on the target ({_size(tables)} rows, {_size(indexes)} indexes)"
    if present:
        need += f", of which it holds {_size(present)} now"
    folder = data_folder(ends.target)
    if folder is None:
        return passed(DISK_SPACE, f"{need}; how much is free there can't be seen from here")
    free = shutil.disk_usage(folder).free
    # A table that is filled again keeps its old rows until the new ones are committed.
    if free + present < tables + indexes or free < max((table.bytes for table in catalog.tables), default=0):
        return warning(
            DISK_SPACE,
            f"{need}; {_size(free)} are free in {folder}",
            "Make room there before the migration, unless the source's tables are mostly empty space",
        )
    return passed(DISK_SPACE, f"{need}; {_size(free)} are free in {folder}")


def data_folder(target: Connection) -> Path | None:
    """The folder of the target's database, when this process sees the very files that the server has; else None.

    The connection must not be in a transaction.
    """
    try:
        ((folder, proof, size, modified, changed),) = ask(target, "data_directory")
    except psycopg2.Error:
        return None  # takes rights that a migration does not need
    try:
        here = Path(proof).stat()
    except OSError:
        return None
    same = (here.st_size, int(here.st_mtime), int(here.st_ctime)) == (size, modified, changed)
    return Path(folder) if same else None


def _size(count: int) -> str:
    """Bytes for people, in powers of 1024."""
    size, units = float(count), ["bytes", "kB", "MB", "GB", "TB"]
    while size >= 1024 and len(units) > 1:
        size, units = size / 1024, units[1:]
    return f"{size:,.1f} {units[0]}" if units[0] != "bytes" else f"{count} bytes"
