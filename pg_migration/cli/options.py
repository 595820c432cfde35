"""Run configuration from options and files. The options are the fields of the resource ``migration``."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import click
import yaml
from pydantic.fields import FieldInfo

from pg_migration.cli.exit_status import Misused
from pg_migration.cli.help import GroupedOption
from pg_migration.orchestration.pair import MIGRATION, Pair
from pg_migration.postgres.migration.options import Options
from pg_migration.postgres.planning.options import UseCase, group_of, use_cases_of

_TYPES: Mapping[object, "click.ParamType[Any]"] = {int: click.INT, float: click.FLOAT, str: click.STRING}

# What run configuration names: the resource, and the steps that have any.
OURS = (MIGRATION, "repair_tables", "take_over", "stop_following", "take_back", "allow_migrations")

_SHORT = {"overwrite_existing_rows": ["overwrite"]}


@cache
def resource_options(use_case: UseCase) -> tuple[click.Option, ...]:
    """An option for each parameter that means something to a use case.

    One that is not given is None, so that the resource's own default holds.
    """
    fields = {
        name: field
        for name, field in Options.model_fields.items()
        # A document is given in a file.
        if use_case in use_cases_of(field) and get_origin(field.annotation) is not dict
    }
    return tuple(option for name, field in fields.items() for option in _options(name, field))


def _options(name: str, field: FieldInfo) -> list[click.Option]:
    """An option; of a switch with a third position also its opposite."""
    group = group_of(field).value
    if field.annotation is not Any:
        return [_option(name, field, group)]
    positions = click.Choice([str(value).lower() for value in field.examples or ()])
    flag, told = name.replace("_", "-"), f"{field.description}  [default: {str(field.default).lower()}]"
    return [
        GroupedOption(
            [f"--{flag}", name],
            type=positions,
            is_flag=False,
            flag_value="true",
            callback=lambda _context, _option, value: {"true": True, "false": False}.get(value, value),
            help=told,
            group=group,
        ),
        # Of a name of its own: two options of one name take each other's values.
        GroupedOption(
            [f"--no-{flag}", f"no_{name}"], is_flag=True, default=None, help=f"As --{flag} false.", group=group
        ),
    ]


def _option(name: str, field: FieldInfo, group: str) -> click.Option:
    flag = name.replace("_", "-")
    told = f"{field.description}  [default: {_default(field)}]"
    kind = _without_none(field.annotation)
    if kind is bool:
        flags = [f"--{each}/--no-{each}" for each in (flag, *_SHORT.get(name, ()))]
        return GroupedOption([*flags, name], is_flag=True, default=None, help=told, group=group)
    several = get_origin(kind) in (list, tuple)
    item = get_args(kind)[0] if several else kind
    return GroupedOption(
        [f"--{flag}", name], type=_type(name, item), multiple=several, default=None, help=told, group=group
    )


def _without_none(annotation: Any) -> Any:
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    return kinds[0] if NoneType in get_args(annotation) and len(kinds) == 1 else annotation


def _type(name: str, kind: Any) -> "click.ParamType[Any]":
    if get_origin(kind) is Literal:
        return click.Choice(get_args(kind))
    if kind not in _TYPES:
        raise TypeError(f"parameter {name} of resource 'migration' is of a type that no option can be made for: {kind}")
    return _TYPES[kind]


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value) if value not in (None, [], ()) else "none"


def run_config(files: Sequence[Path], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a run: files in their order, then what was given as options.

    Raises:
        Misused: when a file is no YAML, or no mapping.
    """
    found: dict[str, Any] = {}
    for file in files:
        found = merged(found, _read(file))
    given = {name: _plain(value) for name, value in settings.items() if value is not None and value != ()}
    for name in Options.model_fields:
        if given.pop(f"no_{name}", False):
            given[name] = False
    return merged(found, {"resources": {MIGRATION: {"config": given}}}) if given else found


def of_pair(pair: Pair, config: Mapping[str, Any]) -> dict[str, Any]:
    """The same configuration for a pair, in which its resource and its steps are called as they are for that pair."""
    named = {
        part: {pair.named(name) if name in OURS else name: value for name, value in config[part].items()}
        for part in ("resources", "ops")
        if isinstance(config.get(part), dict)
    }
    return {**config, **named}


def _read(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Misused(f"{file} can't be read as YAML: {error}") from None
    if content is not None and not isinstance(content, dict):
        raise Misused(f"{file} holds no run configuration: expected a mapping that begins with 'resources:'")
    return content or {}


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings in one, at every depth; where they disagree, the second one wins."""
    found = dict(below)
    for name, value in above.items():
        both = isinstance(value, dict) and isinstance(found.get(name), dict)
        found[name] = merged(found[name], value) if both else value
    return found


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
