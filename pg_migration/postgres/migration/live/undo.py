"""Take away what a replication has left, on both sides; every step may be repeated, in any state."""

from collections.abc import Mapping, Sequence

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.figures import listed
from pg_migration.postgres.ledger.source_identity import Identity
from pg_migration.postgres.replication.identities import published_elsewhere, undo_identities
from pg_migration.postgres.replication.read_only import let_write
from pg_migration.postgres.replication.record import last_replication, record
from pg_migration.postgres.replication.source_objects import (
    Found,
    drop_publication,
    drop_slot,
    hand_over,
    ours,
    unpublish,
)
from pg_migration.postgres.replication.state import TAKEN_OVER, ChangedIdentity, Phase, Replication
from pg_migration.postgres.replication.subscription import subscription_state, unsubscribe

# A run that is in one of these holds the target's lock: where somebody else has that, the run is dead.
BEFORE_FOLLOWING = frozenset({Phase.PREPARING, Phase.COPYING})
# Nothing of it has a use any more, on either side.
OVER = frozenset({Phase.ABANDONED, Phase.LOST})
UNDECIDED = (
    "a cutover was about to make the target take over, and only the target's ledger tells whether it has; where it has "
    "not: ALTER DATABASE ... RESET default_transaction_read_only"
)
DIED = "the run died before the target followed"


def undo_in_source(
    source: Connection, name: str, identities: Sequence[ChangedIdentity], moved: bool = False
) -> list[str]:
    """Take slot, identities and publication away; what was there of them, for people.

    What a dead cutover had set comes before all that; only not where the target may have taken over, as far as the
    source tells.

    Args:
        moved: the target has taken over, and new sessions of the source stay read only.

    The slot goes first, as it fills a disk. A table is taken out of the publication before its identity is: its updates
    would be refused. The publication goes last, as its note tells of the rest.

    Raises:
        MigrationError: something could not be taken away; what came before is.
    """
    there = {found.name: found for found in ours(source)}
    found = there.get(name)
    fence = found.fence if found is not None and not moved else None
    done = ["what a cutover had begun"] if fence is not None and let_write(source, name, even_decided=False) else []
    if fence is not None and not done:
        done.append(f"all but the setting that has new sessions of the source read only: {UNDECIDED}")
    done += [f"slot {name}"] if drop_slot(source, name) else []
    if found is not None and found.publication:
        unpublish(source, name)
    known = {changed.oid: changed for changed in (*(found.identities if found is not None else ()), *identities)}
    undone, kept = _own_identities(source, name, list(known.values()), there)
    undo_identities(source, undone)
    done += [f"the replica identity of {'.'.join(changed.name)}" for changed in undone]
    done += kept
    if found is not None and found.publication:
        drop_publication(source, name)
        done.append(f"publication {name}")
    return done


def _own_identities(
    source: Connection, name: str, changed: Sequence[ChangedIdentity], there: Mapping[str, Found]
) -> tuple[list[ChangedIdentity], list[str]]:
    """Those that nobody else needs by now, and what is told of the others, for people.

    Without its identity a table that is in another publication could not be updated any more. Where that is one of
    ours, its end undoes it.
    """
    elsewhere = published_elsewhere(source, [one.oid for one in changed], name)
    heirs = {heir for names in elsewhere.values() for heir in names if heir in there and there[heir].note}
    for heir in heirs:
        hand_over(source, there[heir], [one for one in changed if heir in elsewhere.get(one.oid, ())])
    kept = [
        f"all but the replica identity of {'.'.join(one.name)}, which publication {listed(elsewhere[one.oid])} needs"
        for one in changed
        if one.oid in elsewhere
    ]
    return [one for one in changed if one.oid not in elsewhere], kept


def undo_in_target(target: Connection, replication: Replication) -> list[str]:
    """Take the subscription away, and have the copies of tables identify their rows as the source's did."""
    done = [f"subscription {replication.name}"] if unsubscribe(target, replication.name) else []
    undo_identities(target, replication.identities, by_name=True)
    return done


def made_for(found: Found, target: Identity) -> bool:
    """Whether something of the source was made for a target."""
    return found.target is not None and found.target.differs_from(target) is None


def end(
    source: Connection, target: Connection, replication: Replication, phase: Phase, reason: str
) -> tuple[Replication, list[str]]:
    """End a replication, and take away what it has on both sides; call it with the target's lock in hand.

    Returns:
        How it stands then, and what was taken away.

    Raises:
        MigrationError: something could not be. It counts as ended all the same, and the next look goes on.
    """
    ended = replication.ended(phase, reason)
    record(target, ended)
    done = [f"slot {replication.name}"] if drop_slot(source, replication.name) else []
    done += undo_in_target(target, replication)
    done += undo_in_source(source, replication.name, replication.identities)
    return ended, done


def clear_dead(
    source: Connection, target: Connection, ends: tuple[Identity, Identity], reason: str, whole: bool = True
) -> list[str]:
    """Take away what runs have left that ended before the target followed, and what was not taken away at an end.

    Call it with the target's lock in hand.

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
    elsewhere = last.source.differs_from(of_source) if last is not None else None
    if last is not None and last.phase in BEFORE_FOLLOWING:
        if elsewhere:
            reason += f"; slot and publication {last.name} may be left in another source, {elsewhere}"
            done += undo_in_target(target, last)
            record(target, last.ended(Phase.ABANDONED, reason))
        else:
            done += end(source, target, last, Phase.ABANDONED, reason)[1]
    if last is not None and last.phase in OVER and subscription_state(target, last.name) is not None:
        done += undo_in_target(target, last)
    if whole:
        for found in remains(source, target, last, of_target):
            of_last = last is not None and found.name == last.name and not elsewhere
            if last is not None and of_last:
                done += undo_in_target(target, last)
            identities = last.identities if last is not None and of_last else found.identities
            done += undo_in_source(source, found.name, identities)
    return done


def remains(source: Connection, target: Connection, last: Replication | None, which: Identity) -> list[Found]:
    """What is in the source by our names, was made for this target, and serves nothing any more.

    A subscription of its name keeps a thing from that, unless the ledger says that it is over.

    Args:
        last: the last replication into the target.
        which: the target.
    """
    found = []
    for one in ours(source):
        is_last = last is not None and one.name == last.name
        if last is not None and is_last:
            if last.phase in OVER:
                found.append(one)
        elif last is not None and one.name == last.way_back and last.phase in TAKEN_OVER:
            continue
        elif made_for(one, which) and subscription_state(target, one.name) is None:
            found.append(one)
    return found
