"""How a step fails: with one message for people, instead of the frameworks' stack."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg

from pg_migration.orchestration.run_tags import MISUSE, TRANSIENT
from pg_migration.postgres.errors import ConfigurationError, MigrationError
from pg_migration.postgres.migration.run import MigrationRun

INTERRUPTED = "interrupted: somebody stopped the run"

Context = dg.AssetExecutionContext | dg.AssetCheckExecutionContext | dg.OpExecutionContext
Metadata = Mapping[str, dg.MetadataValue[Any]]

MISUSED: Metadata = {MISUSE: dg.MetadataValue.bool(True)}


@contextmanager
def as_step_failure(run: MigrationRun, context: Context) -> Iterator[None]:
    """Let a run write to the log of a step, and turn the library's errors into a failure with their message alone.

    The message is kept for the summary.
    """
    show_stacks()
    run.log, failures = context.log, run.outcomes.failures
    try:
        yield
    except MigrationError as error:
        failures.append(str(error))
        raise _failure(str(error), _kind(error)) from None
    except BaseException as error:  # unforeseen, or an interrupt: with its stack, but the summary must know of it too
        if not isinstance(error, dg.Failure):
            interrupted = isinstance(error, (KeyboardInterrupt, dg.DagsterExecutionInterruptedError))
            failures.append(INTERRUPTED if interrupted else f"{type(error).__name__}: {error}")
        raise


def fail_if(problems: Sequence[str], what: str, metadata: Metadata | None = None) -> None:
    """Fail the step, listing every problem; ``metadata`` is shown below the message.

    Raises:
        dagster.Failure: when there are any.
    """
    if problems:
        listed = "\n".join(f"- {problem}" for problem in problems)
        raise _failure(f"{what}:\n{listed}", metadata)


def _kind(error: MigrationError) -> Metadata | None:
    if isinstance(error, ConfigurationError):
        return MISUSED
    return {TRANSIENT: dg.MetadataValue.bool(True)} if error.transient else None


class Failed(dg.Failure):
    """A failure of a step. Dagster shows the name of the class before the message."""


# The name alone: Python leaves the module out for classes of this one.
Failed.__module__ = "builtins"


def _failure(message: str, metadata: Metadata | None = None) -> dg.Failure:
    """A failure whose stack, which is Dagster's own and says nothing, is not printed below the message."""
    sys.tracebacklimit = 0
    return Failed(description=message, metadata=metadata, allow_retries=False)


def show_stacks() -> None:
    """Let the errors that nobody foresaw be printed with their stack again."""
    if hasattr(sys, "tracebacklimit"):
        del sys.tracebacklimit
