"""The options that planning and loading depend on. Each is declared once, here or in `migration.options`.

Dagster's run configuration, the Launchpad, the command line and the documentation read these declarations.
"""

import os
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from pg_migration.postgres.errors import ConfigurationError

CopyFormat = Literal["auto", "text"]

MAX_DEFAULT_WORKERS = 8

UseCase = Literal[
    "preflight",
    "plan",
    "migrate",
    "validate",
    "repair",
    "compare",
    "swap_back",
    "adopt_new_tables",
    "cutover",
    "abandon_replication",
    "go_back",
    "end_way_back",
    "release",
]
"""The use cases of `migration.use_cases`, which the jobs are called after."""


class Group(str, Enum):
    """What an option is about; the dangerous ones last."""

    CONTENT = "What to copy"
    SPEED = "How fast"
    CHECKS = "How to check"
    DANGER = "DANGEROUS: what may be deleted in the target"


def option(default: Any, description: str, group: Group, use_cases: tuple[UseCase, ...], **more: Any) -> Any:
    """A field of the options.

    Args:
        use_cases: those that it means something to. The others take it, too, since all are configured alike.
        more: as `pydantic.Field`.
    """
    return Field(
        default=default,
        description=description,
        json_schema_extra={"group": group.value, "use_cases": list(use_cases)},
        **more,
    )


def use_cases_of(field: FieldInfo) -> frozenset[str]:
    """Those that an option means something to."""
    return frozenset(_declared(field)["use_cases"])


def group_of(field: FieldInfo) -> Group:
    """What an option is about."""
    return Group(_declared(field)["group"])


def _declared(field: FieldInfo) -> Mapping[str, Any]:
    assert isinstance(field.json_schema_extra, dict), "every option is declared by option()"
    return field.json_schema_extra


def default_workers() -> int:
    """As many as this machine has cores, within reason."""
    return max(2, min(os.cpu_count() or 2, MAX_DEFAULT_WORKERS))


class LoadSettings(BaseModel):
    """How a load is cut and run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chunk_size: int = option(
        100_000,
        "Rows that one COPY moves, about.",
        Group.SPEED,
        ("plan", "migrate", "validate", "repair"),
    )
    use_unlogged_tables: bool = option(
        False,
        "Load into UNLOGGED tables and make them LOGGED afterwards. Usually slower: SET LOGGED writes the table a "
        "second time.",
        Group.SPEED,
        ("migrate", "repair"),
    )
    partition_threshold: int = option(
        1_000_000,
        "Tables with more rows than this are cut into primary key ranges.",
        Group.SPEED,
        ("preflight", "plan", "migrate", "validate", "repair"),
    )
    max_partitions: int = option(8, "Into how many ranges a table is cut.", Group.SPEED, ("plan", "migrate"))
    # Not a default_factory: the Launchpad fills in defaults, and leaves out what has none in the definitions.
    workers: int = option(
        default_workers(),
        "Connections to each side that copy, build indexes and compare at once.",
        Group.SPEED,
        ("preflight", "plan", "migrate", "validate", "repair"),
    )
    copy_format: CopyFormat = option(
        "auto",
        "'auto': binary for tables whose types allow it, which is faster; 'text': never.",
        Group.SPEED,
        ("plan", "migrate", "repair"),
    )

    def problems(self) -> Iterator[str]:
        """What is out of range, a setting each."""
        for name, least in (("chunk_size", 1), ("partition_threshold", 0), ("max_partitions", 1), ("workers", 1)):
            if (value := getattr(self, name)) < least:
                yield f"{name} is {value}, but must be at least {least}"
        if self.copy_format not in get_args(CopyFormat):
            yield f"copy_format is {self.copy_format!r}, but must be one of {', '.join(get_args(CopyFormat))}"

    def check(self) -> None:
        """Reject what no run can be made with.

        Raises:
            ConfigurationError: naming every setting that is out of range.
        """
        if wrong := list(self.problems()):
            raise ConfigurationError("the configuration of resource 'migration' can't be used: " + "; ".join(wrong))
