"""How many connections a server has left for a load."""

from collections.abc import Sequence

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.session import fetch

# Beside the workers a run opens a few more: for the sequences, for a person who looks at it.
SPARE_CONNECTIONS = 3

# Settings of a later version are missing (NULL) on an earlier one. A limit of -1 is none.
_FREE = """
SELECT least(
    current_setting('max_connections')::int
        - CASE WHEN r.rolsuper THEN 0 ELSE current_setting('superuser_reserved_connections')::int
            + coalesce(current_setting('reserved_connections', true)::int, 0) END
        - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
    CASE WHEN d.datconnlimit >= 0 AND NOT r.rolsuper
        THEN d.datconnlimit - (SELECT count(*) FROM pg_stat_activity WHERE datid = d.oid) END,
    CASE WHEN r.rolconnlimit >= 0 AND NOT r.rolsuper
        THEN r.rolconnlimit - (SELECT count(*) FROM pg_stat_activity WHERE usesysid = r.oid) END)
FROM pg_roles r, pg_database d WHERE r.rolname = current_user AND d.datname = current_database()
"""


def free_connections(connection: Connection) -> int:
    """How many more sessions this session's role may open in its database. PostgreSQL docs: max_connections."""
    ((free,),) = fetch(connection, _FREE)
    return int(free)


def affordable_workers(wanted: int, ends: Sequence[Connection]) -> int:
    """As many workers as wanted and as every server has connections for, at least one; each takes one on each side."""
    return max(1, min(wanted, *(free_connections(end) - SPARE_CONNECTIONS for end in ends)))


def affordable_runs(runs: int, workers: int, ends: Sequence[Connection]) -> tuple[int, int]:
    """How many further runs every server has connections for beside this one, and how many workers each, this one too.

    Fewer workers come before fewer runs; with no connections to spare there are no further runs.
    """
    free = min(free_connections(end) for end in ends)
    while runs and free // (runs + 1) - SPARE_CONNECTIONS < 1:
        runs -= 1
    return runs, max(1, min(workers, free // (runs + 1) - SPARE_CONNECTIONS))
