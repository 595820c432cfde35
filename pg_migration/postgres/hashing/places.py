"""Which rows of a table in the target are those of one chunk."""

from collections.abc import Iterator

from psycopg2 import sql

from pg_migration.postgres.ledger.chunks import Placed
from pg_migration.postgres.planning.page_ranges import page_range

# A session that needs a page also takes one that others have added and left: of those each adds up to 64 at a time
# (since 16; PostgreSQL's MAX_BUFFERS_TO_EXTEND_BY), or up to 512. So many are looked at before a table is read whole.
FREE_PAGES = (64, 1024)


def conditions(placed: Placed) -> Iterator[sql.Composable]:
    """What is true of a chunk's rows: first of those in its pages, then in some before that may have been free, at last
    of all.
    """
    low = str(placed.transaction % 2**32)  # row versions carry the low 32 bits of a transaction's id
    xmin = sql.SQL("xmin OPERATOR(pg_catalog.=) {}::pg_catalog.xid").format(sql.Literal(low))
    if placed.end_page is not None:
        for pages in FREE_PAGES:
            yield sql.SQL(" AND ").join([page_range(max(0, placed.first_page - pages), placed.end_page), xmin])
    yield xmin
