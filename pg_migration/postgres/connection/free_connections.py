"""How many connections a server has left for a load."""

from collections.abc import Sequence

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import fetch

# Beside one that it has and those of its workers, a run opens on the source: the snapshot's holder, and one that
# watches for whom the others wait. On the target: the lock's, the snapshot's of the checks, and one that watches.
SPARE_CONNECTIONS = 3
# The one that watches can be missing, and one worker is enough.
MIN_CONNECTIONS = SPARE_CONNECTIONS - 1 + 1

# Settings of a later version are missing (NULL) on an earlier one. A limit of -1 is none. What kind of session another
# role has is hidden (NULL) from a role without pg_read_all_stats; those without a database serve no client.
FREE = """
WITH client AS MATERIALIZED (
    SELECT datid, usesysid FROM pg_stat_activity
    WHERE backend_type = 'client backend' OR (backend_type IS NULL AND datid IS NOT NULL)
)
SELECT least(
    to_number(current_setting('max_connections'), '9999999')::int
        - CASE WHEN r.rolsuper THEN 0 ELSE to_number(current_setting('superuser_reserved_connections'), '9999999')::int
            + CASE WHEN to_regrole('pg_use_reserved_connections') IS NOT NULL
                        AND pg_has_role(r.oid, to_regrole('pg_use_reserved_connections'), 'USAGE')
                   THEN 0
                   ELSE coalesce(to_number(current_setting('reserved_connections', true), '9999999')::int, 0) END END
        - (SELECT count(*) FROM client),
    CASE WHEN d.datconnlimit >= 0 AND NOT r.rolsuper
        THEN d.datconnlimit - (SELECT count(*) FROM client WHERE datid = d.oid) END,
    CASE WHEN r.rolconnlimit >= 0 AND NOT r.rolsuper
        THEN r.rolconnlimit - (SELECT count(*) FROM client WHERE usesysid = r.oid) END),
    format('max_connections is %s, of which %s are reserved', current_setting('max_connections'),
           to_number(current_setting('superuser_reserved_connections'), '9999999')::int
           + coalesce(to_number(current_setting('reserved_connections', true), '9999999')::int, 0))
    || CASE WHEN r.rolconnlimit >= 0 THEN format(', role %s may have %s', r.rolname, r.rolconnlimit) ELSE '' END
    || CASE WHEN d.datconnlimit >= 0 THEN format(', database %s %s', d.datname, d.datconnlimit) ELSE '' END
FROM pg_roles r, pg_database d WHERE r.rolname = session_user AND d.datname = current_database()
"""


def free_connections(connection: Connection) -> int:
    """How many more sessions this session's role may open in its database. PostgreSQL docs: max_connections."""
    return connections_left(connection)[0]


def connections_left(connection: Connection) -> tuple[int, str]:
    """As `free_connections`, with the limits that count."""
    ((free, limits),) = fetch(connection, FREE)
    return int(free), str(limits)


def affordable_workers(wanted: int, free: Sequence[int]) -> int:
    """As many workers as wanted and as every server has connections for, at least one; each takes one on each side.

    Args:
        free: what each server had (`free_connections`) before the run has opened more than one.
    """
    return max(1, min(wanted, min(free) - SPARE_CONNECTIONS))


def affordable_runs(runs: int, workers: int, free: Sequence[int]) -> tuple[int, int]:
    """How many further runs every server has connections for beside this one, and how many workers each, this one too.

    Fewer workers come before fewer runs; with no connections to spare there are no further runs.

    Args:
        free: as for `affordable_workers`.
    """
    least = min(free)
    while runs and least // (runs + 1) - SPARE_CONNECTIONS < 1:
        runs -= 1
    return runs, max(1, min(workers, least // (runs + 1) - SPARE_CONNECTIONS))
