"""Give a replication up: nothing of it stays in the source, and the target keeps the rows that it has."""

import re

from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.errors import ConfigurationError, ConnectionFailed, MigrationError
from pg_migration.postgres.figures import listed
from pg_migration.postgres.ledger.lock import TargetLock
from pg_migration.postgres.ledger.runs import session_name
from pg_migration.postgres.ledger.source_identity import Identity, place_in
from pg_migration.postgres.migration.live.takeover.recovery import undo_fence
from pg_migration.postgres.migration.live.undo import OVER, clear_dead, end, undo_in_source
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.replication.identities import undo_identities
from pg_migration.postgres.replication.record import last_replication
from pg_migration.postgres.replication.source_objects import ours
from pg_migration.postgres.replication.state import PATTERN, TAKEN_OVER, UNDER_WAY, Phase
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
        source = connections.open(run.source)
        found = next((one for one in ours(source) if one.name == name), None)
        if found is None:
            raise ConfigurationError(f"the source {run.source.description} has neither a slot nor a publication {name}")
        return undo_in_source(source, name, found.identities)


def _all(run: MigrationRun) -> list[str]:
    with Connections(session_name(run.run_id)) as connections:
        source = connections.open(run.source)
        try:
            target = connections.open(run.target)
        except ConnectionFailed as refusal:
            place = place_in(run.target.description)
            mine = [found for found in ours(source) if found.target is not None and place in found.target.places]
            done = [what for found in mine for what in undo_in_source(source, found.name, found.identities)]
            raise MigrationError(
                f"{refusal}. In the source was taken away: {listed(done) or 'nothing'}. When the target answers again, "
                f"run pg_migration abandon once more"
            ) from None
        TargetLock(connections, run.target, run.run_id).acquire()
        ends = Identity.of(source, run.source), Identity.of(target, run.target)
        last = last_replication(target)
        if last is not None and last.target.differs_from(ends[1]) is not None:
            last = None
        if last is not None and last.phase in TAKEN_OVER:
            raise ConfigurationError(
                "the target has taken over from the source, so there is nothing to give up: pg_migration end-way-back "
                "ends the way back, pg_migration go-back takes it"
            )
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


def _unknown(run: MigrationRun, connections: Connections, ends: tuple[Identity, Identity]) -> list[str]:
    """What follows into this target and its ledger does not know, as that was lost."""
    source, target = connections.open(run.source), connections.open(run.target)
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
