"""Event triggers of the target, disabled for as long as a run works there.

Its DDL would fire them, and they may refuse it. Each is written to the ledger in the transaction that disables it, with
the statement that brings its state back. Those of extensions stay as they are, since an extension needs them; so do
those that fire at a login. Who may alter an event trigger is its owner (PostgreSQL docs: ALTER EVENT TRIGGER). Commands
on event triggers fire none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import Question, execute, execute_rows, fetch, gathered, transaction

KIND = "event trigger"

PRESENT: Question = (
    """
SELECT e.evtname, e.evtenabled
  FROM pg_catalog.pg_event_trigger e
 WHERE e.evtevent OPERATOR(pg_catalog.<>) 'login'
   AND pg_catalog.pg_has_role(e.evtowner, 'USAGE')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend m
                    WHERE m.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_event_trigger'::pg_catalog.regclass
                      AND m.objid OPERATOR(pg_catalog.=) e.oid AND m.deptype OPERATOR(pg_catalog.=) 'e')
 ORDER BY 1
""",
    None,
)
_STATES = {"O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA"}


@dataclass(frozen=True)
class EventTrigger:
    """One that the role may alter, and its state (pg_event_trigger.evtenabled)."""

    name: str
    state: str


def present(connection: Connection) -> Sequence[EventTrigger]:
    """The event triggers of a database that the role may alter, disabled ones among them."""
    return [EventTrigger(name, state) for name, state in fetch(connection, *PRESENT)]


def set_aside(
    connection: Connection, triggers: Sequence[EventTrigger], make_ledger: Callable[[], object] = lambda: None
) -> None:
    """Disable event triggers of the target, and write into the ledger what brings each back.

    Args:
        make_ledger: called when they are disabled, since they would fire for it.
    """
    enabled = [trigger for trigger in triggers if trigger.state in _STATES]
    if not enabled:
        make_ledger()
        return
    with transaction(connection):
        for trigger in enabled:
            execute(connection, _alter(trigger.name, "DISABLE"))
        make_ledger()
        execute_rows(
            connection,
            "INSERT INTO _pg_migration.suspended VALUES %s "
            "ON CONFLICT (schema_name, table_name, kind, name) DO UPDATE SET restore = excluded.restore",
            [("", "", KIND, t.name, _alter(t.name, _STATES[t.state]).as_string(connection)) for t in enabled],
        )


def bring_back(connection: Connection) -> None:
    """Give those that are set aside, by this run or one that was killed, the state that they had; forget all of them.

    What somebody has dropped meanwhile stays gone.
    """
    found = fetch(
        connection,
        "SELECT s.name, s.restore, e.evtname IS NOT NULL FROM _pg_migration.suspended s "
        "LEFT JOIN pg_catalog.pg_event_trigger e ON e.evtname OPERATOR(pg_catalog.=) s.name "
        "WHERE s.kind OPERATOR(pg_catalog.=) %s ORDER BY 1",
        (KIND,),
    )
    if not found:
        return
    with gathered(connection):
        for _, restore, is_there in found:
            if is_there:
                execute(connection, restore)
        execute(
            connection,
            "DELETE FROM _pg_migration.suspended WHERE kind OPERATOR(pg_catalog.=) %s "
            "AND name OPERATOR(pg_catalog.=) ANY (%s::pg_catalog.text[])",
            (KIND, [name for name, *_ in found]),
        )


def _alter(name: str, state: str) -> sql.Composable:
    return sql.SQL("ALTER EVENT TRIGGER {} {}").format(sql.Identifier(name), sql.SQL(state))
