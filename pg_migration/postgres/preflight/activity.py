"""What else goes on at the two servers: transactions, locks, replication."""

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Catalog
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.connection.statements import Question, fetch
from pg_migration.postgres.figures import listed, size
from pg_migration.postgres.preflight.ends import Ends, ask, question
from pg_migration.postgres.preflight.finding import Finding, error, passed, warning

TRANSACTIONS = "long transactions on the source"
LOCKS = "locks on"
REPLICATION = "replication of"
STANDBY = "replication of the source"
BOTH = "both sides"

LONG_TRANSACTION_SECONDS = 3600
LONG_LOCK_SECONDS = 60
STANDBY_LAG_SECONDS = 60
SLOT_BYTES = 1 << 30


def transactions(ends: Ends) -> list[Finding]:
    """That nobody keeps a transaction open on the source for long: old row versions make the copy read more."""
    found = ask(ends.source, "long_transactions", seconds=LONG_TRANSACTION_SECONDS)
    return [
        warning(TRANSACTIONS, f"{what}: what it keeps from being cleaned up has to be read past", f"End it: {remedy};")
        for what, remedy in found
    ] or [passed(TRANSACTIONS, "none on the source for more than an hour, as far as this role may see")]


def locks_question(ends: Ends, side: Side) -> Question:
    """Who has locks that the migration would wait for."""
    of_target = side is Side.TARGET
    schemas = list(ends.schemas.values() if of_target else ends.schemas)
    return question("lock_holders", schemas=schemas, every_lock=of_target, seconds=LONG_LOCK_SECONDS)


def locks(ends: Ends) -> list[Finding]:
    """That nobody keeps tables locked, on which the migration would wait: so does the reading of the catalog."""
    found = []
    for side, end in ((Side.SOURCE, ends.source), (Side.TARGET, ends.target)):
        held: dict[tuple[str, str], list[str]] = {}
        for *holder, relation in fetch(end, *locks_question(ends, side)):
            held.setdefault(_holder(side, *holder), []).append(relation)
        for (who, remedy), relations in held.items():
            found.append(
                warning(
                    f"{LOCKS} the {side.value}",
                    f"{who} has locks on {listed(relations)}: the migration waits until it ends",
                    remedy,
                )
            )
    return found or [passed(f"{LOCKS} {BOTH}", "no table is locked for long")]


def _holder(
    side: Side, pid: int | None, gid: str | None, role: str, program: str, prepared: str | None, age: int | None
) -> tuple[str, str]:
    """Who holds a lock, and how to end it."""
    if gid is None:
        return (
            f"session {pid} on the {side.value} ({program}, role {role})",
            f"End it: SELECT pg_terminate_backend({pid});",
        )
    literal = "'" + gid.replace("'", "''") + "'"
    who = f"transaction {literal} on the {side.value} (role {role}), prepared at {prepared} UTC, {age:,} s ago,"
    return who, f"End it: ROLLBACK PREPARED {literal}; or COMMIT PREPARED {literal};"


def replication(ends: Ends, catalog: Catalog) -> list[Finding]:
    """That a source that is a standby has everything, is up to date and lets long queries be, and that no slot fills a
    disk."""
    found = _standby(ends.source, catalog)
    for side, end, limit in ((Side.SOURCE, ends.source, SLOT_BYTES), (Side.TARGET, ends.target, 0)):
        for name, kept in ask(end, "slots"):
            if kept is not None and kept >= limit:
                found.append(
                    warning(
                        f"{REPLICATION} the {side.value}",
                        f"nobody reads replication slot {name} of the {side.value}, for which {size(kept)} of WAL "
                        f"are kept{', and all that the migration writes will be' if side is Side.TARGET else ''}",
                        f"Let its subscriber go on, or drop it: SELECT pg_drop_replication_slot('{name}');",
                    )
                )
    return found or [passed(f"{REPLICATION} {BOTH}", "nothing lags")]


def _standby(source: Connection, catalog: Catalog) -> list[Finding]:
    ((standby, lag, may_cancel),) = ask(source, "recovery")
    relations = [*(table.oid for table in catalog.tables), *(sequence.oid for sequence in catalog.sequences)]
    found = []
    if standby and (unlogged := [name for (name,) in ask(source, "unlogged", relations=relations)]):
        found.append(
            error(
                STANDBY,
                f"the source is a standby, where what is UNLOGGED can't be read: {listed(unlogged)}",
                "Leave it out (exclude_tables), or read from the primary",
            )
        )
    if standby and lag is not None and lag > STANDBY_LAG_SECONDS:
        found.append(
            warning(
                STANDBY,
                f"the source is a standby and {lag:,.0f} s behind: the copy will be of that time",
                "Wait until it has caught up, or read from the primary",
            )
        )
    if standby and may_cancel:
        found.append(
            warning(
                STANDBY,
                "the source is a standby whose recovery may cancel the long queries of the migration",
                "Set hot_standby_feedback = on, or max_standby_streaming_delay = -1, for the time of the migration",
            )
        )
    return found
