"""The command `pg_migration`: what it prints, where, and with which status it ends."""

import json
import os
import re
import shlex
from pathlib import Path

import click
import dagster as dg
import pytest
from click.testing import CliRunner, Result
from dagster._core.secrets.env_file import get_env_var_dict

from pg_migration.cli.commands import JOBS, main
from pg_migration.cli.databases import database_options
from pg_migration.cli.dotenv import local_environment
from pg_migration.cli.live_moves import LIVE_MOVES
from pg_migration.cli.options import resource_options, run_config
from pg_migration.definitions import defs
from pg_migration.orchestration import environment
from pg_migration.orchestration.jobs.prune import PRUNE
from pg_migration.orchestration.location import code_location
from pg_migration.orchestration.runs.resource import MigrationResource
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.errors import ConfigurationError
from pg_migration_tests.cli.conftest import Terminal

RANGES = ("--partition-threshold", "1000", "--max-partitions", "3")


def test_run_report_compare_validate(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(terminal.home)
    (terminal.home / ".env").write_text(f"PG_MIGRATION_REPORTS={terminal.home}/filed\n")
    done = terminal.starting.command("run", *RANGES, "--json")
    assert done.status == 0, done.errors
    told = json.loads(done.output)
    tables = {table["name"]: table for table in told["tables"]}
    assert (tables["orders"]["rows"], tables["orders"]["ranges"], tables["orders"]["state"]) == (4000, 3, "copied")
    assert told["options"]["partition_threshold"] == 1000
    assert told["succeeded"]
    lines = done.errors.splitlines()
    assert lines[:2] == ["migrate: asking the source for its tables", "2 tables; planning the run"]
    assert any(line.startswith("copied public.orders: 4,000 rows") for line in lines)
    assert any(line.startswith("summary: done in") for line in lines)
    assert "dagster -" not in done.errors
    assert "\x1b" not in done.errors
    rows = "SELECT * FROM orders ORDER BY id"
    assert terminal.target.psql(rows) == terminal.source.psql(rows)

    # What needs to know no table beforehand needs no process of its own.
    for name, value in terminal.environment(PG_MIGRATION_REPORTS="").items():
        monkeypatch.setenv(name, value)
    here = CliRunner()
    shown = here.invoke(main, ["report", told["run_id"][:8]])
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout.startswith("migrate succeeded")
    (row,) = (line.split() for line in shown.stdout.splitlines() if line.strip().startswith("public.orders"))
    assert row[:3] == ["public.orders", "copied", "4,000"]
    page = shown.stdout.splitlines()[-1].removeprefix("report: ")
    assert page == f"{terminal.home}/filed/{told['run_id']}/report.html"
    assert Path(page).read_text(encoding="utf-8").startswith("<!doctype html>")
    same = here.invoke(main, ["compare"])
    assert (same.exit_code, same.stderr) == (0, "")
    assert "no difference" in same.stdout

    terminal.source.psql("CREATE TABLE extra ()")
    assert [here.invoke(main, ["compare", *left_out]).exit_code for left_out in ((), ("--exclude-tables", "ex*"))] == [
        1,
        0,
    ]
    terminal.source.psql("DROP TABLE extra")

    for options in ((), ("--watch",)):
        status = here.invoke(main, ["status", *options])
        assert (status.exit_code, status.stderr) == (0, "")
        assert status.stdout.startswith(f"nothing goes on\nthe last run, {told['run_id']} from postgresql://")
        assert " succeeded at " in status.stdout
    data = json.loads(here.invoke(main, ["status", "--json"]).stdout)
    assert (data["running"], data["run"]["state"], data["run"]["run_id"]) == (False, "succeeded", told["run_id"])

    terminal.target.psql("DELETE FROM orders WHERE id = 3999; CREATE INDEX mine ON orders (id)")
    other = here.invoke(main, ["compare", "--json"])
    assert other.exit_code == 1
    assert [d["identity"] for d in json.loads(other.stdout)["differences"]] == ["index mine on public.orders"]

    planned = here.invoke(main, ["plan", "--json"])
    assert planned.exit_code == 0, planned.output
    plan = {table["table"]: table for table in json.loads(planned.stdout)["plan"]["tables"]}
    assert plan["public.orders"]["rows"] == 4000

    ready = here.invoke(main, ["preflight", "--json"])
    assert ready.exit_code == 0, ready.output
    findings = {found["check"]: found["severity"] for found in json.loads(ready.stdout)["findings"]}
    assert findings["target can be written"] == "passed"
    folded = here.invoke(main, ["preflight"])
    assert re.search(r"^\d+ of \d+ passed$", folded.stdout, re.MULTILINE), folded.stdout
    assert "encodings" not in folded.stdout

    checked = terminal.command("validate")
    assert checked.status == 1
    verdict = "public.orders: 4,000 rows in the source, 3,999 in the target"
    assert checked.output.count(verdict) == 1
    assert verdict not in checked.errors
    assert "so the target did. Next: pg_migration repair public.orders\n" in checked.output
    assert "rows of public.orders that differ:\n  (3999)  only in the source\n" in checked.output
    assert "comparison of the rows: FAILED" in checked.errors
    assert "Traceback" not in checked.output + checked.errors
    last = here.invoke(main, ["report", "last"])
    assert last.exit_code == 1
    assert last.stdout.startswith("validate FAILED")

    # A report is written before the run has ended.
    with dg.DagsterInstance.get() as instance:
        instance.report_run_failed(instance.get_run_by_id(told["run_id"]))
    lost = here.invoke(main, ["report", told["run_id"]])
    assert lost.exit_code == 1
    assert lost.stdout.startswith("migrate FAILED")
    assert "Dagster records the run as FAILURE" in lost.stdout

    mended = terminal.command("repair", "ord*")
    assert mended.status == 0, mended.errors
    assert terminal.target.psql(rows) == terminal.source.psql(rows)
    assert "note: 1 tables compared, 0 were the same, 1 reloaded" in mended.output
    terminal.assert_secret(
        *(done.output, done.errors, checked.output, checked.errors, mended.output, mended.errors),
        *(ended.output for ended in (shown, same, status, other, last, planned, ready)),
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Dagster home in which nothing ever ran."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path: Path) -> CliRunner:
    """The command in this process, on an empty Dagster home, with addresses where nobody listens."""
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.delenv("PG_MIGRATION_REPORTS", raising=False)
    monkeypatch.setenv("PG_MIGRATION_SOURCE_URL", "postgresql://u:hidden@127.0.0.1:1/source")
    monkeypatch.setenv("PG_MIGRATION_TARGET_URL", "postgresql://u:hidden@127.0.0.1:1/target")
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def misused(runner: CliRunner, *arguments: str) -> str:
    """What the command says when it ends as one that was given wrongly."""
    ended: Result = runner.invoke(main, arguments)
    assert ended.exit_code == 2, ended.output
    assert "Traceback" not in ended.output
    assert "hidden" not in ended.output
    return str(ended.output)


def test_a_missing_address(typed: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PG_MIGRATION_TARGET_URL")
    assert "PG_MIGRATION_TARGET_URL is not set" in misused(typed, "run")


@pytest.mark.parametrize("command", sorted({*main.commands} - {"prepare"}))
def test_every_command_takes_what_a_dotenv_file_sets(typed: CliRunner, tmp_path: Path, command: str) -> None:
    settings = "PG_MIGRATION_SOURCE_URL=nonsense\nPG_MIGRATION_TARGET_URL=nonsense\nPG_MIGRATION_REPORTS=off"
    (tmp_path / ".env").write_text(settings)
    before = dict(os.environ)
    told = {"report": "reports are switched off", "status": "PG_MIGRATION_TARGET_URL"}.get(
        command, "PG_MIGRATION_SOURCE_URL"
    )
    assert told in misused(typed, command)
    # Dagster's own variables may be set with the first instance.
    assert {n: v for n, v in os.environ.items() if n not in before and not n.startswith("DAGSTER_")} == {}
    assert os.environ.items() >= before.items()


def test_a_dotenv_file_is_read_as_dagster_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_MIGRATION_SOURCE_URL", "host=here")
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(
        "# where from\nexport PG_MIGRATION_SOURCE_URL='host=there password=\"a#b\"' # the old one\n"
        'PG_MIGRATION_TARGET_URL="${PG_MIGRATION_SOURCE_URL} dbname=x"\nPG_MIGRATION_NOTHING\nEMPTY=\n'
    )
    expected = get_env_var_dict(str(tmp_path))
    assert expected["PG_MIGRATION_SOURCE_URL"] == 'host=there password="a#b"'
    with local_environment():
        assert os.environ.items() >= expected.items()
        assert "PG_MIGRATION_NOTHING" not in os.environ
    assert os.environ["PG_MIGRATION_SOURCE_URL"] == "host=here"
    assert "EMPTY" not in os.environ


def test_a_status_that_can_not_be_told(typed: CliRunner) -> None:
    ended = typed.invoke(main, ["status"])
    assert ended.exit_code == 1
    assert "can't connect to the target database postgresql://u@127.0.0.1:1/target" in ended.stderr
    assert "hidden" not in ended.output


SECRET = "s3cretPiece"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"A=1\n\n# ours\nPG_MIGRATION_SOURCE_URL='postgresql://u:s3cretPiece@h/d\nB=2\n", 4),
        (b'PG_MIGRATION_SOURCE_URL="postgresql://u:s3cretPiece@h/d\n', 1),
        (b"A=1\nPG_MIGRATION_SOURCE_URL: postgresql://u:s3cretPiece@h/d\n", 2),
        (b"PG_MIGRATION_SOURCE_URL 's3cretPiece'\n", 1),
        (b"PG_MIGRATION_SOURCE_URL='s3cretPiece' s3cretPiece\n", 1),
        (b"A=1\nB=2\nPG_MIGRATION_SOURCE_URL=s3cretPiece\xff\n", 3),
        (b"A=1\nPG_MIGRATION_SOURCE_URL=s3cretPiece\0\n", 2),
    ],
)
def test_a_dotenv_file_that_can_not_be_read(typed: CliRunner, tmp_path: Path, content: bytes, line: int) -> None:
    (tmp_path / ".env").write_bytes(content)
    for command in ("compare", "run"):
        told = misused(typed, command)
        assert f"{tmp_path / '.env'} can't be used: line {line} " in told
        assert SECRET not in told
    with pytest.raises(ConfigurationError, match=f"line {line} "):  # as Dagster's own commands come to it
        environment.pair().endpoint(Side.SOURCE)
    assert code_location.load(environment.pair()).problem is not None


def test_a_folder_called_dotenv(typed: CliRunner, tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert f"{tmp_path / '.env'} can't be used: Is a directory" in misused(typed, "compare")


def test_a_working_directory_that_is_gone(typed: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert "is not there any more" in misused(typed, "run")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "--chunk-size", "0"], "chunk_size is 0, but must be at least 1"),
        (["run", "--chunk-size", "many"], "'many' is not a valid integer"),
        (["run", "--copy-format", "csv"], "'csv' is not one of 'auto', 'text'"),
        (["run", "--chunk-sise", "5"], "No such option"),
        (["run", "-c", "absent.yaml"], "does not exist"),
        (["migrate"], "No such command"),
        (["report", "12345678"], "run 12345678 has no report"),
        (["report"], "there is no report in"),
        (["compare"], "can't connect to the source database"),
    ],
)
def test_wrong_usage(typed: CliRunner, arguments: list[str], told: str) -> None:
    assert told in misused(typed, *arguments)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("resources: {migration: {config: {chunk_sise: 5}}}", "chunk_sise"),
        ("resources: {migration: {config: {chunk_size: many}}}", "chunk_size"),
        ("resources: [", "can't be read as YAML"),
        ("- 5", "holds no run configuration"),
    ],
)
def test_a_wrong_file(typed: CliRunner, tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "run.yaml").write_text(content)
    assert told in misused(typed, "run", "-c", "run.yaml")


def test_records_that_can_not_be_opened(typed: CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "file"))
    assert "Dagster's records can't be opened" in misused(typed, "report")
    monkeypatch.delenv("DAGSTER_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    monkeypatch.setattr("os.execve", lambda *_: pytest.fail("the UI was started"))
    assert "no records can be kept in" in misused(typed, "ui")


def test_stopped_before_anything_was_done(typed: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pg_migration.cli.report.report", stop)
    ended = typed.invoke(main, ["report"])
    assert (ended.exit_code, ended.output) == (130, "stopped before a run began; nothing was changed\n")


def test_the_beginning_of_several_runs(typed: CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for run in ("0a1", "0a2", "0b"):
        (tmp_path / run).mkdir()
        (tmp_path / run / "report.json").touch()
    monkeypatch.setenv("PG_MIGRATION_REPORTS", str(tmp_path))
    assert "the reports of 2 runs begin with '0a': 0a1, 0a2" in misused(typed, "report", "0a")


def test_reports_switched_off(typed: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_MIGRATION_REPORTS", "off")
    assert "reports are switched off" in misused(typed, "report")


@pytest.mark.parametrize("command", sorted({*main.commands} - {"report", "init", "prepare"}))
def test_options_name_the_databases(typed: CliRunner, tmp_path: Path, command: str) -> None:
    """They win over .env, last for the command, and are refused as the variables are."""
    (tmp_path / ".env").write_text("PG_MIGRATION_TARGET_URL=postgresql://127.0.0.1:1/other")
    before = dict(os.environ)
    source = [] if command == "status" else ["--source", "host=here"]
    told = misused(typed, command, *source, "--target", "postgresql://u:hid@den@here/x")
    assert "PG_MIGRATION_TARGET_URL" in told
    assert "hid" not in told
    assert dict(os.environ) == before


def test_schemas_of_options() -> None:
    seen: dict[str, str] = {}
    command = click.Command("x", params=database_options(), callback=lambda: seen.update(os.environ))
    command.main(["--schema", "a", "--schema", "b", "--target-schema", "c,d"], standalone_mode=False)
    assert (seen["PG_MIGRATION_SOURCE_SCHEMA"], seen["PG_MIGRATION_TARGET_SCHEMA"]) == ("a,b", "c,d")
    assert "PG_MIGRATION_TARGET_SCHEMA" not in os.environ


def test_every_parameter_of_a_copy_is_an_option_of_run() -> None:
    parameters = MigrationResource.model_fields.keys() - {
        "against",
        "transform",
    }  # of a comparison alone, and of a file
    assert {option.name for option in resource_options("migrate")} == {*parameters, "no_owners"}
    told = " ".join(help_of("run").split())
    for name in parameters:
        assert f"--{name.replace('_', '-')}" in told
    assert "Rows that one COPY moves, about. [default: 100000]" in told


def help_of(command: str) -> str:
    return main.commands[command].get_help(
        click.Context(main.commands[command], info_name=command, max_content_width=100)
    )


COPIES = {"copy_format", "use_unlogged_tables"}
OBJECTS = {"exclude_tables", "owners", "privileges"}


@pytest.mark.parametrize(
    ("command", "takes"),
    [
        ("plan", {"exclude_tables", "chunk_size", "partition_threshold", "max_partitions", "workers", "copy_format"}),
        (
            "preflight",
            {
                *OBJECTS,
                "extension_versions",
                "large_objects",
                "try_all_rows",
                "create_roles",
                "drop_existing_tables",
                "follow",
                "max_retained_wal",
                "no_identity",
                "overwrite_existing_rows",
                "partition_threshold",
                "refresh",
                "workers",
            },
        ),
        (
            "validate",
            {
                *OBJECTS,
                "large_objects",
                "chunk_size",
                "partition_threshold",
                "content_sample_percent",
                "workers",
                "against",
            },
        ),
        (
            "repair",
            {
                *OBJECTS,
                *COPIES,
                "extension_versions",
                "large_objects",
                "statistics",
                "create_roles",
                "overwrite_existing_rows",
                "chunk_size",
                "partition_threshold",
                "workers",
            }
            | {"content_sample_percent"},
        ),
        ("compare", OBJECTS),
    ],
)
def test_other_commands_have_only_options_that_mean_something_to_them(
    typed: CliRunner, command: str, takes: set[str]
) -> None:
    told = help_of(command)
    assert {
        name for name in MigrationResource.model_fields if re.search(rf"--{name.replace('_', '-')}[ ,]", told)
    } == takes
    for name in MigrationResource.model_fields.keys() - takes:
        option = f"--{name.replace('_', '-')}"
        assert f"No such option '{option}'" in misused(typed, command, option)


def test_what_means_nothing_to_a_job_may_be_configured(typed: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("resources: {migration: {config: {drop_existing_tables: true}}}")
    ended = typed.invoke(main, ["validate", "-c", "run.yaml"])
    assert ended.exit_code == 1
    assert "can't connect to the source database" in ended.output


@pytest.mark.parametrize("command", main.commands)
def test_help_is_in_groups_and_ends_with_examples(command: str) -> None:
    told = help_of(command)
    heads = [line for line in told.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert heads[-1] == "Examples:"
    examples = told.partition("\nExamples:\n")[2].splitlines()
    assert 2 <= len(examples) <= 3
    for example in examples:
        _, name, *arguments = shlex.split(example.partition(" > ")[0])
        assert name == command
        main.commands[name].make_parser(click.Context(main.commands[name])).parse_args(arguments)
    dangers = [head for head in heads if head.startswith("DANGEROUS")]
    assert dangers == heads[-2:-1] if "--overwrite" in told else not dangers


@pytest.mark.parametrize(
    ("typed", "owners"),
    [
        ("--owners", True),
        ("--owners true --no-privileges", True),
        ("--owners --workers 3", True),
        ("--no-owners", False),
        ("--owners false", False),
        ("--owners best_effort", "best_effort"),
        ("", None),
    ],
)
def test_owners_is_a_switch_with_three_positions(typed: str, owners: object) -> None:
    given: dict[str, object] = {}
    command = click.Command(
        "run", params=list(resource_options("migrate")), callback=lambda **values: given.update(values)
    )
    command.main(typed.split(), standalone_mode=False)
    config = run_config([], given).get("resources", {}).get("migration", {}).get("config", {})
    assert config.get("owners") == owners
    assert MigrationResource(**config).options().owners == (True if owners is None else owners)


def test_options_override_files(tmp_path: Path) -> None:
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    files[0].write_text("resources: {migration: {config: {chunk_size: 5, workers: 3, exclude_tables: [a]}}}")
    files[1].write_text("resources: {migration: {config: {workers: 4}}}\nexecution: {}")
    given = dict.fromkeys(MigrationResource.model_fields) | {"chunk_size": 7, "exclude_tables": (), "owners": False}
    assert run_config(files, given) == {
        "resources": {
            "migration": {"config": {"chunk_size": 7, "workers": 4, "exclude_tables": ["a"], "owners": False}}
        },
        "execution": {},
    }


def test_every_job_about_the_databases_has_a_command() -> None:
    jobs = {job.name for job in defs.get_repository_def().get_all_jobs() if not job.name.startswith("__")}
    commands = (*JOBS, *LIVE_MOVES)
    assert {command.job for command in commands} == jobs - {PRUNE}
    assert {command.name for command in commands} <= set(main.commands)
