"""Our environment variables: the model, and what is written of them elsewhere."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pydantic
import pytest

import pg_migration
from pg_migration.orchestration.settings import PREFIX, Settings

ROOT = Path(pg_migration.__file__).parents[1]
VARIABLES = {f"{PREFIX}{field.upper()}": field for field in Settings.model_fields}
SECRETS = {"source_url", "target_url", "replication_url", "way_back_url", "slack_webhook_url", "smtp_password"}
# Defaults that depend on something else, as the page tells them.
DEPENDENT = {
    "PG_MIGRATION_TARGET_SCHEMA": "the same names",
    "PG_MIGRATION_REPLICATION_URL": "as `PG_MIGRATION_SOURCE_URL`",
    "PG_MIGRATION_WAY_BACK_URL": "as `PG_MIGRATION_TARGET_URL`",
    "PG_MIGRATION_REPORTS": "`$DAGSTER_HOME/pg_migration/reports`, else a folder in `~/.cache`",
    "PG_MIGRATION_SMTP_PORT": "587, 465 or 25",
}


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def documented() -> Iterator[tuple[str, str]]:
    """Each variable in the tables of the page, with its default there."""
    for line in (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"| `{PREFIX}"):
            names, *_, default = line.removeprefix("| ").removesuffix(" |").split(" | ")
            yield from ((name, default) for name in re.findall(r"\w+", names))


def test_the_page_tells_every_variable_once_with_its_default() -> None:
    told = list(documented())
    defaults = {name: str(Settings.model_fields[field].default or "") for name, field in VARIABLES.items()}
    assert sorted(told) == sorted(
        (name, DEPENDENT.get(name) or (f"`{default}`" if default else "none")) for name, default in defaults.items()
    )


def written() -> Iterator[Path]:
    """The files that name variables to users, and the code itself."""
    for folder, kind in (("pg_migration", "*.py"), ("docs", "*.md"), ("deploy", "*"), (".", "*.md")):
        found = (ROOT / folder).glob(kind) if folder == "." else (ROOT / folder).rglob(kind)
        yield from (path for path in found if path.is_file() and path.suffix != ".pyc")
    yield from (ROOT / name for name in (".env.example", "docker-compose.yml", "Dockerfile", "dagster.yaml"))


def test_no_other_variable_is_named_anywhere() -> None:
    # Those that the tests read, and no part of the program, and what the command of a cutover is told.
    known = {*VARIABLES, "PG_MIGRATION_TEST_DUMPS", "PG_MIGRATION_TEST_POSTGRES19", "PG_MIGRATION_MOVED_TO"}
    named = {(path.name, name) for path in written() for name in re.findall(r"PG_MIGRATION_[A-Z]\w*", path.read_text())}
    assert {(path, name) for path, name in named if name not in known} == set()
    assert {name for _, name in named} >= set(VARIABLES)


@pytest.mark.parametrize("field", VARIABLES.values(), ids=str)
@pytest.mark.parametrize("value", ["nonsense", "[1", '{"a": 1}', "p\udcffw", "null", "0"])
def test_every_text_is_taken_alone(monkeypatch: pytest.MonkeyPatch, field: str, value: str) -> None:
    monkeypatch.setenv(f"{PREFIX}{field.upper()}", f" {value}\t")
    assert Settings().model_dump() == {**Settings.model_construct().model_dump(), field: value}


@pytest.mark.parametrize("blank", ["", " \t"])
def test_a_blank_variable_is_not_set(monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, blank)
    assert Settings() == Settings.model_construct()


def test_names_are_exact_and_no_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("pg_migration_timezone", "Europe/Vienna")
    monkeypatch.setenv("TIMEZONE", "Europe/Vienna")
    (tmp_path / ".env").write_text("PG_MIGRATION_TIMEZONE=Europe/Vienna\n")
    assert Settings().timezone == "UTC"


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, f"sesame of {name}")
    shown = set(re.findall(r"(\w+)='sesame of", repr(Settings())))
    assert shown == set(VARIABLES.values()) - SECRETS
    with pytest.raises(pydantic.ValidationError) as refused:
        Settings.model_validate({f"{PREFIX}SMTP_PASSWORD": NoText()})
    assert "sesame" not in str(refused.value)


class NoText:
    """What the model refuses: it is no text when it is stripped either."""

    def strip(self) -> list[str]:
        return ["sesame"]


def test_settings_do_not_change() -> None:
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        Settings().timezone = "Europe/Vienna"  # type: ignore[misc]
