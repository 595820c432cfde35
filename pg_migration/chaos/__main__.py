"""``python -m pg_migration.chaos``: let accidents happen to migrations, and judge what is left of them.

A run that an accident happened to may fail, and has to say so by its exit status; when it says that all is well, all
rows are there. In either case no session is left behind, and the next run ends well, with the same rows on both sides.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from pg_migration.chaos.accidents import Accident, accidents, fetch_backends, impatient_roles, set_timeouts
from pg_migration.chaos.world import World
from pg_migration.demo.servers import Server, demolish, embedded, server_account, usable

SETTINGS = {"fsync": "off", "max_wal_size": "2GB", "max_connections": "40"}
PATIENCE_SECONDS = 15


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m pg_migration.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="how many random moments to kill a run at")
    parser.add_argument("--only", default="", help="only accidents whose name holds this text")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="to repeat the same random moments")
    options = parser.parse_args()
    random.seed(options.seed)
    print(f"seed {options.seed}")
    folder = Path(tempfile.mkdtemp(prefix="pg_migration-chaos-"))
    folder.chmod(0o711)
    account = server_account()
    source, target = (
        Server(usable(embedded(version), account, folder), folder / side, account, SETTINGS)
        for side, version in (("source", 16), ("target", 18))
    )
    try:
        for server in (source, target):
            server.start()
        world = World(source, target, folder)
        chosen = {name: a for name, a in accidents(options.kills).items() if options.only in name}
        wrong = sum(not _survives(world, name, accident) for name, accident in chosen.items())
    finally:
        for server in (source, target):
            server.stop("immediate")
        demolish(folder)
    print(f"{len(chosen) - wrong} of {len(chosen)} accidents survived")
    return 1 if wrong else 0


def _survives(world: World, name: str, accident: Accident) -> bool:
    world.reset()
    if accident is impatient_roles:
        set_timeouts(world, "200ms")
    process = world.start()
    started = time.monotonic()
    accident(world, process)
    status = world.finish(process)
    problems = []
    if status == 0 and world.hashes(world.target) != world.hashes(world.source):
        problems.append("it said that all is well, and rows are missing")
    if not _is_left_alone(world):
        problems.append("sessions are left behind")
    again = world.finish(world.start())
    if again != 0:
        problems.append(f"the next run failed:\n{world.log.read_text(errors='replace')[-3000:]}")
    elif world.hashes(world.target) != world.hashes(world.source):
        problems.append("rows differ after the next run")
    if accident is impatient_roles:
        set_timeouts(world, "0")
    verdict = "; ".join(problems) or "well"
    seconds = time.monotonic() - started
    print(f"{name}: exit status {status}, then {again}, after {seconds:.0f} s: {verdict}", flush=True)
    return not problems


def _is_left_alone(world: World) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while fetch_backends(world):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


if __name__ == "__main__":
    sys.exit(main())
