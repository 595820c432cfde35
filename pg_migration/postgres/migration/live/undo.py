"""Take away what a replication has left, on both sides; every step may be repeated, in any state."""

from collections.abc import Sequence

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.ledger.source_identity import Identity
from pg_migration.postgres.replication.identities import undo_identities
from pg_migration.postgres.replication.record import last_replication, record
from pg_migration.postgres.replication.source_objects import Found, drop_publication, drop_slot, ours, unpublish
from pg_migration.postgres.replication.state import UNDER_WAY, ChangedIdentity, Phase, Replication
from pg_migration.postgres.replication.subscription import subscription_state, unsubscribe

# A run that is in one of these holds the target's lock: where somebody else has that, the run is dead.
BEFORE_FOLLOWING = frozenset({Phase.PREPARING, Phase.COPYING})
DIED = "the run died before the target followed"


def undo_in_source(source: Connection, name: str, identities: Sequence[ChangedIdentity]) -> list[str]:
    """Take slot, identities and publication away; what was there of them, for people.

    The slot goes first, as it fills a disk. A table is taken out of the publication before its identity is: its updates
    would be refused. The publication goes last, as its note tells of the rest.

    Raises:
        MigrationError: something could not be taken away; what came before is.
    """
    there = {found.name: found for found in ours(source)}
    found = there.get(name)
    done = [f"slot {name}"] if drop_slot(source, name) else []
    if found is not None and found.publication:
        unpublish(source, name)
    undo_identities(source, identities)
    done += [f"the replica identity of {'.'.join(changed.name)}" for changed in identities]
    if found is not None and found.publication:
        drop_publication(source, name)
        done.append(f"publication {name}")
    return done


def undo_in_target(target: Connection, replication: Replication) -> list[str]:
    """Take the subscription away, and have the copies of tables identify their rows as the source's did."""
    done = [f"subscription {replication.name}"] if unsubscribe(target, replication.name) else []
    undo_identities(target, replication.identities, by_name=True)
    return done


def made_for(found: Found, target: Identity) -> bool:
    """Whether something of the source was made for a target."""
    return found.target is not None and found.target.differs_from(target) is None


def clear_dead(
    source: Connection, target: Connection, ends: tuple[Identity, Identity], reason: str, whole: bool = True
) -> list[str]:
    """Take away what runs have left that ended before the target followed; call it with the target's lock in hand.

    Args:
        ends: which databases these are.
        reason: why it ends, where nobody has written that down.
        whole: look in the source also for what the ledger does not know.

    Returns:
        What was taken away.

    Raises:
        MigrationError: something could not be; the ledger still shows it.
    """
    of_source, of_target = ends
    last, done = last_replication(target), []
    if last is not None and last.target.differs_from(of_target) is not None:
        last = None  # the bookkeeping was copied here with the database
    if last is not None and last.phase in BEFORE_FOLLOWING:
        if elsewhere := last.source.differs_from(of_source):
            reason += f"; slot and publication {last.name} may be left in another source, {elsewhere}"
        else:
            done += undo_in_source(source, last.name, last.identities)
        done += undo_in_target(target, last)
        record(target, last.ended(Phase.ABANDONED, last.reason or reason))
    known = {last.name, last.way_back} if last is not None else set()
    for found in ours(source) if whole else ():
        alive = found.name in known and last is not None and last.phase in UNDER_WAY | {Phase.MOVED}
        if made_for(found, of_target) and not alive and subscription_state(target, found.name) is None:
            done += undo_in_source(source, found.name, found.identities)
    return done
