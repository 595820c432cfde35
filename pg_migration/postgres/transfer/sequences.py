"""Where sequences stand: read from the source, set on the target.

Sequences are not part of a snapshot (PostgreSQL docs: "Sequence Manipulation Functions"), so positions are read after
the rows: never behind them.
"""

from collections.abc import Mapping, Sequence

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import execute_rows, fetch
from pg_migration.postgres.ledger.sequence_positions import Position, SequenceName

SEQUENCES_PER_QUERY = 200


def read_positions(connection: Connection, names: Sequence[SequenceName]) -> Mapping[SequenceName, Position]:
    """The positions of sequences, a few hundred in one query.

    Raises:
        psycopg2.errors.InsufficientPrivilege, psycopg2.errors.UndefinedTable: naming the sequence.
    """
    found = {}
    for first in range(0, len(names), SEQUENCES_PER_QUERY):
        batch = names[first : first + SEQUENCES_PER_QUERY]
        selects = [
            sql.SQL("SELECT {}, last_value, is_called FROM {}").format(sql.Literal(i), sql.Identifier(*name))
            for i, name in enumerate(batch)
        ]
        for index, last_value, is_called in fetch(connection, sql.SQL(" UNION ALL ").join(selects)):
            found[batch[index]] = Position(last_value, is_called)
    return found


def set_positions(connection: Connection, positions: Mapping[SequenceName, Position]) -> None:
    """Set the positions of sequences in the target."""
    # As text: PostgreSQL reads -9223372036854775808::bigint as the negation of a number that is too large.
    rows = [(*name, str(p.last_value), p.is_called) for name, p in positions.items()]
    execute_rows(
        connection,
        "SELECT setval(format('%I.%I', s, n)::regclass, v, c) FROM (VALUES %s) AS wanted (s, n, v, c)",
        rows,
        template="(%s::text, %s::text, %s::bigint, %s::boolean)",
    )
