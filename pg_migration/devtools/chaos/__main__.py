"""``python -m pg_migration.devtools.chaos``: let accidents happen to migrations, and judge what is left of them.

A run that an accident happened to may fail, and has to say so by its exit status; when it says that all is well, all
rows are there. In either case it ends, no session is left behind, and the next run ends well, with the same rows and
the same structure on both sides; what was there of unchanged tables, it keeps.

With the first argument ``live`` they happen to live moves, see `live`.
"""

import sys
import time
from dataclasses import dataclass, field

from pg_migration.devtools.chaos import live
from pg_migration.devtools.chaos.accidents import Accident, accidents
from pg_migration.devtools.chaos.stage import prepare
from pg_migration.devtools.chaos.world import Impossible, TooLate, World
from pg_migration.devtools.servers import demolish

SETTINGS = {"fsync": "off", "max_wal_size": "2GB", "max_connections": "40"}
# Longer than a busy machine needs: what is looked for is what does not end at all.
PATIENCE_SECONDS = 60
ATTEMPTS = 3


@dataclass
class Verdict:
    """What became of one accident."""

    accident: str
    skipped: str = ""
    status: int | None = None
    next_status: int | None = None
    kept: int = 0
    chunks: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        verdict = "; ".join(self.problems) or (f"skipped: {self.skipped}" if self.skipped else "well")
        cells = (
            self.accident,
            "" if self.status is None else str(self.status),
            "" if self.next_status is None else str(self.next_status),
            f"{self.kept} of {self.chunks}",
            f"{self.seconds:.0f}",
            verdict,
        )
        return "| " + " | ".join(cells) + " |"


def main() -> int:
    stage = prepare("chaos", __doc__, "run", 20, SETTINGS, sys.argv[1:])
    world = World(stage.source, stage.target, stage.folder, stage.scale)
    try:
        for server in stage.servers:
            server.start()
        every = accidents(stage.kills, _run_seconds(world) if stage.kills else 0.0)
        chosen = [accident for accident in every if stage.is_chosen(accident.name)]
        print("| accident | exit status | of the next run | chunks kept | seconds | verdict |", flush=True)
        print("|---|---|---|---|---|---|", flush=True)
        verdicts = [_let_happen(world, accident) for accident in chosen]
    finally:
        for server in stage.servers:
            server.stop("immediate")
        world.tidy()
        demolish(stage.folder)
    wrong = sum(bool(verdict.problems) for verdict in verdicts)
    skipped = sum(bool(verdict.skipped) for verdict in verdicts)
    print(f"{len(chosen) - wrong - skipped} of {len(chosen)} accidents survived, {skipped} skipped")
    return 1 if wrong or not chosen else 0


def _run_seconds(world: World) -> float:
    """How long a run takes from its first session on, when nothing happens to it.

    Raises:
        AssertionError: it does not even go well then.
    """
    world.reset()
    process = world.start()
    while not world.backends() and process.poll() is None:
        time.sleep(0.01)
    started = time.monotonic()
    if world.finish(process) or world.differences():
        raise AssertionError(f"a run that nothing happens to goes wrong:\n{world.log().read_text(errors='replace')}")
    return time.monotonic() - started


def _let_happen(world: World, accident: Accident) -> Verdict:
    """One accident; again, a few times, where the run was over before it could happen."""
    for _ in range(ATTEMPTS):
        verdict = Verdict(accident.name)
        started = time.monotonic()
        try:
            world.reset()
            accident.prepare(world)
            _judge(world, accident, verdict)
        except Impossible as error:
            verdict.skipped = str(error)
        except TooLate:
            verdict.skipped = "the run was over before it could happen"
        finally:
            accident.clean(world)
        verdict.seconds = time.monotonic() - started
        if not verdict.skipped.startswith("the run was over"):
            break
    print(verdict, flush=True)
    return verdict


def _judge(world: World, accident: Accident, verdict: Verdict) -> None:
    process = world.start()
    try:
        accident.happen(world, process)
    except TooLate:
        world.finish(process)
        raise
    happened = time.monotonic()
    verdict.status = world.finish(process)
    took = time.monotonic() - happened
    problems = verdict.problems
    if accident.status is not None and (verdict.status == 0) != accident.status:
        problems.append(f"exit status {verdict.status}: {_end_of(world)}")
    if verdict.status == 0 and not world.is_balanced():
        problems.append("it said that all is well, and the rows are of several moments")
    if verdict.status == 0 and accident.status is None and (found := world.differences()):
        problems.append(f"it said that all is well, and {', '.join(found)}")
    if accident.name.startswith("SIG") and took > PATIENCE_SECONDS:
        problems.append(f"it ended {took:.0f} s after the signal")
    if not accident.at_once and not _is_left_alone(world):
        problems.append("sessions are left behind")
    accident.repair(world)
    there, begins_anew = world.chunks(), world.succeeded() or not accident.keeps
    verdict.next_status = world.finish(world.start())
    if verdict.next_status != 0:
        problems.append(f"the next run failed: {_end_of(world)}")
    else:
        problems += [f"after the next run {difference}" for difference in world.differences()]
    now = world.chunks()
    verdict.kept, verdict.chunks = len(there & now), len(now)
    if not begins_anew and not there <= now:
        problems.append(f"{len(there - now)} chunks that were there were copied again")
    if not _is_left_alone(world):
        problems.append("sessions are left behind by the next run")


def _end_of(world: World) -> str:
    """The end of what a run printed, in one line."""
    return " ".join(world.log().read_text(errors="replace")[-1500:].split())


def _is_left_alone(world: World) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while world.backends():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


if __name__ == "__main__":
    sys.exit(live.main(sys.argv[2:]) if sys.argv[1:2] == ["live"] else main())
