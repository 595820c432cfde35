"""Ranges of pages, for tables that no key range can be cut on."""

from psycopg2 import sql

# ctid ranges are read without reading the rest of the table since this version.
TID_RANGE_SCANS = 140000


def page_range(first: int, end: int | None) -> sql.Composable:
    """What is true of the rows in pages of a table: from the first one on, and before the end if there is one."""
    lower = sql.SQL("ctid OPERATOR(pg_catalog.>=) {}::pg_catalog.tid").format(sql.Literal(f"({first},0)"))
    if end is None:
        return lower
    return lower + sql.SQL(" AND ctid OPERATOR(pg_catalog.<) {}::pg_catalog.tid").format(sql.Literal(f"({end},0)"))
