"""A cutover, or a way back, that is killed before or after one of its steps."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from pg_migration.postgres.migration import CutoverOptions, Migration, Options, cutover, end_way_back, go_back
from pg_migration.postgres.migration.live.takeover import back as back_module
from pg_migration.postgres.migration.live.takeover import cutover as cutover_module

NOT_KILLED = 3


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killing(function: Callable[..., Any], when: str, calls: int) -> Callable[..., Any]:
    """The same, but at its so-manieth call the process dies."""
    left = [calls]

    def call(*args: Any, **options: Any) -> Any:
        left[0] -= 1
        if not left[0] and when == "before":
            kill()
        found = function(*args, **options)
        if not left[0]:
            kill()
        return found

    return call


def main(source: str, target: str, schemas: str, step: str, direction: str) -> None:
    name, when, calls = step.split(":")
    module = back_module if direction in ("back", "end") else cutover_module
    setattr(module, name, killing(getattr(module, name), when, int(calls)))
    migration = Migration.between(source, target, schemas=schemas, options=Options.model_validate({"workers": 2}))
    chosen = CutoverOptions(way_back=direction == "with way back", command="true")
    if direction == "end":
        result = end_way_back(migration)
    else:
        result = (go_back if direction == "back" else cutover)(migration, chosen)
    sys.stderr.write(str(result.failures))
    sys.exit(NOT_KILLED)


if __name__ == "__main__":
    main(*sys.argv[1:])
