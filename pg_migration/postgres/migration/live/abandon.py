"""Give a replication up: nothing of it stays in the source, and the target keeps the rows that it has."""

import re

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.errors import ConfigurationError, ConnectionFailed, MigrationError
from pg_migration.postgres.figures import listed
from pg_migration.postgres.ledger.lock import TargetLock
from pg_migration.postgres.ledger.runs import session_name
from pg_migration.postgres.ledger.source_identity import Identity, place_in
from pg_migration.postgres.migration.live.takeover.recovery import undo_fence
from pg_migration.postgres.migration.live.undo import OVER, clear_dead, end, undo_in_source, undo_in_target
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.replication.identities import undo_identities
from pg_migration.postgres.replication.read_only import let_write
from pg_migration.postgres.replication.record import last_replication, record
from pg_migration.postgres.replication.source_objects import by_name, ours
from pg_migration.postgres.replication.state import PATTERN, TAKEN_OVER, UNDER_WAY, Phase, Replication
from pg_migration.postgres.replication.subscription import unsubscribe

BY_A_PERSON = "given up by pg_migration abandon"
NOTHING = "nothing is followed, and nothing of ours is in the source"


def give_up(run: MigrationRun, slot: str | None = None) -> None:
    """Take everything away that the replication into a target has, or what is called by one name in the source.

    Args:
        slot: the name of a slot, or publication, of ours in the source: for what no ledger tells of any more.

    Raises:
        MigrationError: it can't be done now, or some of it; with what to do.
    """
    run.migration.check()
    done = run.call(lambda: _by_name(run, slot) if slot is not None else _all(run))
    run.outcomes.notes.append(f"taken away: {listed(done, 50)}" if done else NOTHING)


def _by_name(run: MigrationRun, name: str) -> list[str]:
    if re.fullmatch(PATTERN, name) is None:
        raise ConfigurationError(f"{name!r} is not the name of a slot of ours, such as pg_migration_0123456789ab")
    with Connections(session_name(run.run_id)) as connections:
        source = run.sides.open_beside(connections, run.sides.source)
        found = by_name(source, name)
        if found is None:
            raise ConfigurationError(
                f"the source {run.sides.source.description} has neither a slot nor a publication {name}"
            )
        freed = found.fence is not None and let_write(source, name, even_decided=True)
        return [*(["what a cutover had begun"] if freed else []), *undo_in_source(source, name, found.identities)]


def _all(run: MigrationRun) -> list[str]:
    with Connections(session_name(run.run_id)) as connections:
        try:
            source = run.sides.open_beside(connections, run.sides.source)
        except ConnectionFailed as refusal:
            raise MigrationError(f"{refusal}. {_without_source(run, connections)}") from None
        try:
            target = run.sides.open_beside(connections, run.sides.target)
        except ConnectionFailed as refusal:
            place = place_in(run.sides.target.description)
            mine = [found for found in ours(source) if found.target is not None and place in found.target.places]
            done = [what for found in mine for what in undo_in_source(source, found.name, found.identities)]
            raise MigrationError(
                f"{refusal}. In the source was taken away: {listed(done) or 'nothing'}. When the target answers again, "
                f"run pg_migration abandon once more"
            ) from None
        TargetLock(connections, run.sides.target, run.run_id).acquire()
        ends = Identity.of(source, run.sides.source), Identity.of(target, run.sides.target)
        last = _to_be_given_up(target, ends[1])
        done = []
        if last is not None and last.phase is Phase.FENCED:  # of a cutover that is dead, as it had the lock
            last = undo_fence(source, target, last)
            done.append("what a cutover had begun")
        if last is not None and last.phase in UNDER_WAY:
            if elsewhere := last.source.differs_from(ends[0]):
                raise ConfigurationError(
                    f"the target follows another source than the one that is configured, {elsewhere}"
                )
            done += end(source, target, last, Phase.ABANDONED, BY_A_PERSON)[1]
        elif last is not None and last.phase in OVER:
            run.outcomes.notes.append(f"the replication had ended before: {last.reason}")
        return done + clear_dead(source, target, ends, BY_A_PERSON) + _unknown(run, connections, ends)


def _to_be_given_up(target: Connection, which: Identity) -> Replication | None:
    last = last_replication(target)
    if last is None or last.target.differs_from(which) is not None:
        return None
    if last.phase in TAKEN_OVER:
        raise ConfigurationError(
            "the target has taken over from the source, so there is nothing to give up: pg_migration end-way-back "
            "ends the way back, pg_migration go-back takes it"
        )
    return last


def _without_source(run: MigrationRun, connections: Connections) -> str:
    """Give up in the target alone what follows a source that is away, maybe for good; what came of it.

    Whatever comes to the source when it is back sees by the ledger that nothing there has a use any more.
    """
    target = run.sides.open_beside(connections, run.sides.target)
    TargetLock(connections, run.sides.target, run.run_id).acquire()
    last = _to_be_given_up(target, Identity.of(target, run.sides.target))
    if last is None or last.phase not in UNDER_WAY:
        return "In the target there is nothing to give up"
    record(target, last.ended(Phase.ABANDONED, BY_A_PERSON))
    done = undo_in_target(target, last)
    return (
        f"The replication was given up in the target ({listed(done) or 'there was no subscription'}). What the source "
        f"has of it keeps WAL there: when it answers again, pg_migration abandon takes that away, or the next look"
    )


def _unknown(run: MigrationRun, connections: Connections, ends: tuple[Identity, Identity]) -> list[str]:
    """What follows into this target and its ledger does not know, as that was lost."""
    sides = run.sides
    source, target = sides.open_beside(connections, sides.source), sides.open_beside(connections, sides.target)
    done = []
    for found in ours(source):
        if found.target is None or found.target.differs_from(ends[1]) is not None:
            if found.slot or found.publication:
                run.outcomes.notes.append(
                    f"{found.name} of the source was made for another target, or does not say for which: it stays "
                    f"(pg_migration abandon --slot {found.name} takes it away)"
                )
            continue
        last = last_replication(target)
        if last is not None and found.name in (last.name, last.way_back):
            continue
        done += [f"subscription {found.name}"] if unsubscribe(target, found.name) else []
        undo_identities(target, found.identities, by_name=True)
        done += undo_in_source(source, found.name, found.identities)
    return done
