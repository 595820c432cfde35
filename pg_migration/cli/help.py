"""Pages of help: options by what they are about, the dangerous ones last, and examples at the end."""

from collections.abc import Sequence
from typing import Any

import click

DATABASES, OTHERS = "Databases", "Options"


class GroupedOption(click.Option):
    """An option in a group of its own."""

    def __init__(self, *arguments: Any, group: str = OTHERS, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.group = group


class HelpfulCommand(click.Command):
    """A command whose help is in groups.

    Args:
        examples: command lines.
    """

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.examples = tuple(examples)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, a section for each group."""
        from pg_migration.postgres.planning.options import Group  # not for the list of commands: it takes a moment

        *harmless, dangerous = (group.value for group in Group)
        names = (DATABASES, *harmless, OTHERS, dangerous)
        groups: dict[str, list[tuple[str, str]]] = {name: [] for name in names}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is not None:
                groups[getattr(parameter, "group", OTHERS)].append(record)
        for name, records in groups.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)

    def format_epilog(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, none of which is broken into lines."""
        if self.examples:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {example}\n" for example in self.examples))
