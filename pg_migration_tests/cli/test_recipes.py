"""What the pages in docs/recipes and the guide for guests name is there: commands, options, variables, other pages."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pg_migration.cli.commands import main
from pg_migration.orchestration.settings import PREFIX, Settings
from pg_migration.postgres.migration import Options

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [*sorted((DOCS / "recipes").glob("*.md")), DOCS / "guests.md"]
COMMAND = re.compile(r"(?:^    .*?|`)\bpg_migration (?P<rest>[a-z][^`\n>|<]*)", re.MULTILINE)
CONFIGURATION = re.compile(r"^ +migration:\n +config:\n((?: {10,}\w+:.*\n)+)", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)(?P<path>[^)#]*)(?:#(?P<anchor>[^)]*))?\)")
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def test_what_is_looked_at_is_found() -> None:
    assert {"major_upgrade", "nightly_staging", "many_databases", "existing_project"} <= {page.stem for page in PAGES}
    called = {name for page in PAGES for name, _ in commands_of(page.read_text(encoding="utf-8"))}
    assert {"preflight", "plan", "run", "status", "validate", "compare", "ui"} <= called
    assert any(CONFIGURATION.search(page.read_text(encoding="utf-8")) for page in PAGES)


def commands_of(text: str) -> Iterator[tuple[str, list[str]]]:
    """Every call of pg_migration in code: the command, and its arguments."""
    for found in COMMAND.finditer(text):
        name, *arguments = shlex.split(found["rest"].rstrip("&; "), comments=True)
        yield name, arguments


@each_page
def test_commands_and_their_options(page: Path) -> None:
    for name, arguments in commands_of(page.read_text(encoding="utf-8")):
        command = main.commands[name]
        command.make_parser(click.Context(command)).parse_args(arguments)


@each_page
def test_variables(page: Path) -> None:
    named = set(re.findall(rf"{PREFIX}\w+", page.read_text(encoding="utf-8")))
    assert named <= {f"{PREFIX}{field}".upper() for field in Settings.model_fields}


@each_page
def test_options_in_run_configuration(page: Path) -> None:
    for block in CONFIGURATION.findall(page.read_text(encoding="utf-8")):
        assert set(re.findall(r"^ +(\w+):", block, re.MULTILINE)) <= set(Options.model_fields)


@each_page
def test_links(page: Path) -> None:
    for link in LINK.finditer(page.read_text(encoding="utf-8")):
        other = (page.parent / link["path"]).resolve() if link["path"] else page
        assert other.exists(), link["path"]
        if link["anchor"]:
            titles = re.findall(r"^#+ (.*)$", other.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert link["anchor"] in anchors, link["anchor"]


@each_page
def test_python_in_it_compiles(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        ast.parse(block)
