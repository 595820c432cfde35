"""Ranges of pages, for tables that no key range can be cut on."""

from psycopg2 import sql


def _pages(first: int, end: int | None) -> sql.Composable:
    lower = sql.SQL("ctid OPERATOR(pg_catalog.>=) {}::pg_catalog.tid").format(sql.Literal(f"({first},0)"))
    if end is None:
        return lower
    return lower + sql.SQL(" AND ctid OPERATOR(pg_catalog.<) {}::pg_catalog.tid").format(sql.Literal(f"({end},0)"))


# ctid ranges are read without reading the rest of the table since this version.
TID_RANGE_SCANS = 140000


def _stretch(first: int, end: int | None) -> sql.Composable:
    lower = sql.SQL("ctid OPERATOR(pg_catalog.>=) {}::pg_catalog.tid").format(sql.Literal(f"({first},0)"))
    if end is None:
        return lower
    return lower + sql.SQL(" AND ctid OPERATOR(pg_catalog.<) {}::pg_catalog.tid").format(sql.Literal(f"({end},0)"))
