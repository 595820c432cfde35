"""The commands that run a job: what they take, and the run configuration that becomes of it."""

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pg_migration.cli.databases import database_options
from pg_migration.cli.help import DATABASES, GroupedOption, HelpfulCommand
from pg_migration.cli.pairs import chosen_pair, every_pair, is_about_all, pair_options

if TYPE_CHECKING:
    from pg_migration.orchestration.pair import Pair
    from pg_migration.postgres.planning.options import UseCase

Config = dict[str, Any]


@dataclass(frozen=True)
class JobCommand:
    """A command that runs a job.

    Args:
        tables_of: the op that takes patterns of tables, which are arguments then.
        for_all: whether there is ``--all``, for all pairs of a project.
        always: options of the run that the command sets, and so does not take.
        step: the op that takes ``settings``, which are options of the command by the same names.
        before: is called before the run with the pair and the run configuration, and returns the latter; it may refuse.
    """

    name: str
    job: "UseCase"
    help: str
    examples: tuple[str, ...]
    tables_of: str | None = None
    for_all: bool = False
    always: Mapping[str, Any] = field(default_factory=dict)
    step: str = ""
    settings: tuple[click.Option, ...] = ()
    before: "Callable[[Pair, Config], Config] | None" = None


AT_ONCE = GroupedOption(
    ["--at-once"],
    group=DATABASES,
    metavar="NUMBER",
    type=click.IntRange(1),
    help="With --all: how many pairs at once, as far as the servers have connections for.  [default: 4]",
)


class RunsJob(HelpfulCommand):
    """Takes the parameters of the resource ``migration`` as options, those that mean something to the job."""

    def __init__(self, spec: JobCommand) -> None:
        arguments = [click.Argument(["patterns"], nargs=-1, metavar="[PATTERN]...")] if spec.tables_of else []
        super().__init__(
            spec.name,
            help=f"{spec.help} The job '{spec.job}' of Dagster, run in this process.",
            callback=self._execute,
            examples=spec.examples,
            params=[
                *arguments,
                *spec.settings,
                *database_options(),
                *pair_options(spec.for_all),
                *([AT_ONCE] if spec.for_all else []),
                click.Option(
                    ["-c", "--config", "files"],
                    type=click.Path(exists=True, dir_okay=False, path_type=Path),
                    multiple=True,
                    help="Run configuration as YAML. Options override it, and later files earlier ones.",
                ),
                click.Option(["--json", "as_json"], is_flag=True, help="Print the report as JSON on standard output."),
                click.Option(["--verbose", "verbose"], is_flag=True, help="Show Dagster's own events."),
            ],
        )
        self._spec = spec

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        from pg_migration.cli.options import resource_options

        always = {*self._spec.always, *(f"no_{name}" for name in self._spec.always)}
        offered = (option for option in resource_options(self._spec.job) if option.name not in always)
        return [*offered, *super().get_params(ctx)]

    def _execute(
        self,
        files: tuple[Path, ...],
        as_json: bool,
        verbose: bool,
        patterns: tuple[str, ...] = (),
        at_once: int | None = None,
        **settings: Any,
    ) -> None:
        context = click.get_current_context()
        # Dagster stays, once it is imported: it is not looked through for what can go, until a run begins.
        gc.disable()
        try:
            from pg_migration.cli.jobs import run_for_all, run_for_one
            from pg_migration.cli.options import merged, run_config

            spec = self._spec
            of_step = {option.name: settings.pop(str(option.name)) for option in spec.settings}
            config = run_config(files, {**settings, **spec.always})
            if patterns:
                config = merged(config, {"ops": {spec.tables_of: {"config": {"tables": list(patterns)}}}})
            if given := {name: value for name, value in of_step.items() if value is not None}:
                config = merged(config, {"ops": {spec.step: {"config": given}}})
            if is_about_all(context):
                status = run_for_all(every_pair(context), spec.job, config, as_json, verbose, at_once, spec.before)
            else:
                pair = chosen_pair(context)
                if spec.before is not None:
                    config = spec.before(pair, config)
                status = run_for_one(pair, spec.job, config, as_json, verbose)
        finally:
            gc.enable()
        context.exit(status)
