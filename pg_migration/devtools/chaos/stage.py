"""What both programs begin with: what they are told, and two servers of their own."""

import argparse
import random
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pg_migration.devtools.servers import Server, embedded, server_account, temporary_folder, usable


@dataclass(frozen=True)
class Stage:
    """Two servers that do not run yet, in a folder. ``scale`` is a share of the rows, ``kills`` how many there are."""

    source: Server
    target: Server
    folder: Path
    kills: int
    scale: float
    only: Sequence[str]

    @property
    def servers(self) -> tuple[Server, Server]:
        """Both."""
        return self.source, self.target

    def is_chosen(self, accident: str) -> bool:
        """Whether an accident of this name is to happen."""
        return not self.only or any(text in accident for text in self.only)


def prepare(
    program: str,
    description: str | None,
    killed: str,
    kills: int,
    settings: Mapping[str, str],
    arguments: Sequence[str],
) -> Stage:
    """Read the arguments of a program, choose its random moments and make its servers.

    Args:
        killed: what is killed, for the help.
        kills: how often, where that is not said.
        settings: of both servers.
    """
    parser = argparse.ArgumentParser(prog=f"python -m pg_migration.devtools.{program}", description=description)
    parser.add_argument("--kills", type=int, default=kills, help=f"how many random moments to kill a {killed} at")
    parser.add_argument(
        "--only", action="append", default=[], help="only accidents whose name holds this text; may be repeated"
    )
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="to repeat the same random moments")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows, for example 0.1")
    options = parser.parse_args(arguments)
    random.seed(options.seed)
    # A shell that starts this in the background has it ignore Ctrl-C, and every command would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print(f"seed {options.seed}", flush=True)
    account = server_account()
    folder = temporary_folder("pg_migration-chaos-", account)
    source, target = (
        Server(usable(embedded(version), account, folder), folder / side, account, settings)
        for side, version in (("source", 16), ("target", 18))
    )
    return Stage(source, target, folder, options.kills, options.scale, options.only)
