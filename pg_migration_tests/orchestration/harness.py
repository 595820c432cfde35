"""Dagster over two real databases, used as people use it, and what they would see of a run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from logging import WARNING
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import dagster as dg
import pytest

from pg_migration.devtools import servers
from pg_migration.orchestration import environment
from pg_migration.orchestration.build import build
from pg_migration.orchestration.location import code_location
from pg_migration.postgres.migration import Migration, Options, Result, migrate
from pg_migration.postgres.planning.key_ranges import ALL
from pg_migration_tests.conftest import DUMP_HEADER, PostgresServer, fresh_database, run

BOOKKEEPING = "_pg_migration"


@dataclass(frozen=True)
class Database:
    """One database and the server that it is on."""

    server: PostgresServer
    url: str

    def psql(self, text: str) -> str:
        """Run SQL as a superuser; what psql prints, without the last line's end."""
        return self.server.psql(self.url, text).rstrip("\n")

    def dump(self, *options: str) -> str:
        """Everything in the database as text, rows too."""
        newest = servers.embedded(max(servers.EMBEDDED)).bindir / "pg_dump"
        return DUMP_HEADER.sub("", run([newest, *options, "-d", self.url]))


@contextmanager
def databases(wanted: Mapping[str, tuple[PostgresServer, str | None]]) -> Iterator[dict[str, Database]]:
    """New databases by some names, each on a server and of a template if any; they are gone after the block."""
    with ExitStack() as stack:
        found = {}
        for name, (server, template) in wanted.items():
            made = fresh_database(server, template)
            found[name] = Database(server, next(made))
            stack.callback(next, made, None)
        yield found


@dataclass(frozen=True)
class Role:
    """A login role with no rights but those that a test grants it."""

    name: str
    password: str

    def url(self, database: Database) -> str:
        """As whom to connect to a database."""
        address = database.url.rpartition("@")[2]
        return f"postgresql://{self.name}:{quote(self.password, safe='')}@{address}"


def shown(value: dg.MetadataValue[Any]) -> Any:
    """A value of metadata; a table as lines, its columns between bars."""
    if not isinstance(value, dg.TableMetadataValue):
        return value.value
    rows = [list(value.records[0].data), ["-"], *(list(record.data.values()) for record in value.records)]
    return "\n".join(f"| {' | '.join(map(str, row))} |".replace("\u00a0", " ") for row in rows)


@dataclass(frozen=True)
class Run:
    """What became of a run, as the UI shows it."""

    instance: dg.DagsterInstance
    result: dg.ExecuteInProcessResult

    @property
    def success(self) -> bool:
        return self.result.success

    @cached_property
    def failures(self) -> Mapping[str, str]:
        """What the UI says first of each step that failed."""
        return {
            event.step_key: (failed.user_failure_data and failed.user_failure_data.description) or str(failed.error)
            for event in self.result.get_step_failure_events()
            if event.step_key and (failed := event.step_failure_data)
        }

    @cached_property
    def told(self) -> str:
        """The failures that the page of the summary lists, after a run in which a step failed."""
        return str(self.observed("failures")[-1])

    def observed(self, figure: str) -> list[Any]:
        """A figure of the summary each time that it was observed."""
        seen = [e.event_specific_data.asset_observation for e in self.result.all_events if e.is_asset_observation]
        return [shown(one.metadata[figure]) for one in seen if figure in one.metadata]

    @cached_property
    def started(self) -> set[str]:
        """Steps that were executed, whatever became of them."""
        return {event.step_key for event in self.result.all_events if event.is_step_start and event.step_key}

    @cached_property
    def succeeded(self) -> list[str]:
        """Steps that succeeded, in the order in which they ended."""
        return [event.step_key for event in self.result.get_step_success_events() if event.step_key]

    @cached_property
    def _materializations(self) -> list[dg.AssetMaterialization]:
        return [e.step_materialization_data.materialization for e in self.result.get_asset_materialization_events()]

    @cached_property
    def assets(self) -> set[str]:
        """Assets that were materialized."""
        return {made.asset_key.to_user_string() for made in self._materializations}

    def partitions(self, asset: str) -> list[str]:
        """The ranges of a table that were materialized, in the order of events."""
        return [m.partition for m in self._materializations if m.asset_key.to_user_string() == asset and m.partition]

    def metadata(self, asset: str, partition: str | None = None) -> dict[str, Any]:
        """What one materialization carries: of the table as a whole, unless one of its ranges is named."""
        wanted = (None, ALL) if partition is None else (partition,)
        (made,) = (m for m in self._materializations if m.asset_key.to_user_string() == asset and m.partition in wanted)
        return {name: shown(value) for name, value in made.metadata.items()}

    @cached_property
    def checks(self) -> Mapping[str, dg.AssetCheckEvaluation]:
        """The evaluation of ``row_count`` by table asset."""
        found = self.result.get_asset_check_evaluations()
        return {e.asset_key.to_user_string(): e for e in found if e.check_name == "row_count"}

    @cached_property
    def every_check(self) -> Mapping[tuple[str, str], dg.AssetCheckEvaluation]:
        """All evaluations, by asset and check."""
        found = self.result.get_asset_check_evaluations()
        return {(e.asset_key.to_user_string(), e.check_name): e for e in found}

    @cached_property
    def passed(self) -> Mapping[str, bool]:
        """The verdict of ``row_count`` by table asset."""
        return {asset: found.passed for asset, found in self.checks.items()}

    @cached_property
    def entries(self) -> list[dg.EventLogEntry]:
        """The event log."""
        return list(self.instance.all_logs(self.result.run_id))

    @cached_property
    def log(self) -> list[str]:
        """What the steps logged themselves, without Dagster's own events."""
        return [entry.user_message for entry in self.entries if entry.dagster_event is None]

    @cached_property
    def warnings(self) -> list[str]:
        """The warnings among that."""
        return [e.user_message for e in self.entries if e.dagster_event is None and e.level == WARNING]

    @cached_property
    def stored(self) -> str:
        """The whole event log, every field of it."""
        return "\n".join(dg.serialize_value(entry) for entry in self.entries)


@dataclass
class Platform:
    """A source, a target, and the Dagster instance that migrates from one into the other."""

    source: Database
    target: Database
    monkeypatch: pytest.MonkeyPatch
    _resources: ExitStack
    _definitions: dg.Definitions | None = None
    _reactions: dict[str, Callable[[], object]] = field(default_factory=dict)

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        """Made when first asked for: where the library migrates, it would take as long as a third of that."""
        return self._resources.enter_context(dg.DagsterInstance.ephemeral())

    def set(self, **variables: str | None) -> None:
        """Set variables by their names less ``PG_MIGRATION_``, or unset them; then load the code location anew."""
        for name, value in variables.items():
            if value is None:
                self.monkeypatch.delenv(f"PG_MIGRATION_{name}", raising=False)
            else:
                self.monkeypatch.setenv(f"PG_MIGRATION_{name}", value)
        self._definitions = None

    @property
    def definitions(self) -> dg.Definitions:
        """What the code location offers, loaded when first asked for."""
        return self._definitions or self.reload()

    def reload(self) -> dg.Definitions:
        """Load the code location, as a person does in the UI."""
        self._definitions = build(code_location.load(environment.pair()))
        return self._definitions

    def after(self, step: str, reaction: Callable[[], object]) -> None:
        """Do something as soon as a step has succeeded, in every run that follows."""
        self._reactions[step] = reaction

    def migrate(self, **config: Any) -> Run:
        """Run the job `migrate` with this configuration of the resource `migration`."""
        return self.run(self.definitions.resolve_job_def("migrate"), config)

    def migrate_directly(self, **options: Any) -> Result:
        """Migrate by the library alone, whose parts the steps call, where a test asks about no step.

        Dagster takes several times as long.
        """
        return migrate(self.migration(**options))

    def migration(self, **options: Any) -> Migration:
        """What the library is told, whose other use cases are called with it."""
        return environment.pair().migration(Options.model_validate(options))

    def validate(self, **config: Any) -> Run:
        """Run the job `validate`."""
        return self.run(self.definitions.resolve_job_def("validate"), config)

    def repair(self, *tables: str, **config: Any) -> Run:
        """Run the job `repair`, over everything or some tables."""
        ops = {"repair_tables": {"config": {"tables": list(tables)}}} if tables else {}
        return self.run(self.definitions.resolve_job_def("repair"), config, ops)

    def materialize(
        self,
        *assets: str,
        partition: str | None = None,
        partitions: tuple[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        **config: Any,
    ) -> Run:
        """Materialize a selection, as the UI's button does: whole, one partition, or all from one to another."""
        tags = dict(tags or {})
        if partitions is not None:
            tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"] = partitions
        job = self.definitions.resolve_implicit_global_asset_job_def()
        selection = [dg.AssetKey.from_user_string(asset) for asset in assets]
        return self.run(job, config, asset_selection=selection, partition_key=partition, tags=tags)

    def run(
        self, job: dg.JobDefinition, config: Mapping[str, Any], ops: Mapping[str, Any] | None = None, **options: Any
    ) -> Run:
        """Execute a job in this process."""
        run_id = str(uuid4())
        self.instance.add_event_listener(run_id, self._react)
        result = job.execute_in_process(
            instance=self.instance,
            run_id=run_id,
            run_config={"resources": {"migration": {"config": dict(config)}}, "ops": dict(ops or {})},
            raise_on_error=False,
            **options,
        )
        return Run(self.instance, result)

    def _react(self, entry: dg.EventLogEntry) -> None:
        event = entry.dagster_event
        if event is not None and event.is_step_success and event.step_key in self._reactions:
            self._reactions[event.step_key]()


@dataclass(frozen=True)
class Migrated:
    """Two databases after a migration, for several tests that begin there and leave the source as it is.

    A copy of the target is kept. What a test has made of the target is replaced by the copy under the same name and the
    same OID, so that the bookkeeping in it still holds.
    """

    source: Database
    target: Database
    ranges: Mapping[str, Sequence[str]]
    run: Run | None
    dumped: str = field(repr=False)

    @classmethod
    def by(cls, platform: Platform, **config: Any) -> "Migrated":
        """Migrate everything, and keep what came of it.

        The job that makes a table's ranges known as partitions runs only where a configuration cuts tables.
        """
        ranges: dict[str, Sequence[str]] = {}
        run = None
        if config:
            run = platform.migrate(**config)
            assert run.success, run.failures
            for asset in platform.definitions.resolve_asset_graph().materializable_asset_keys:
                name = f"pk_ranges/{'.'.join(asset.path)}"
                ranges[name] = platform.instance.get_dynamic_partitions(name)
        else:
            assert platform.migrate_directly().succeeded
        kept = {name: keys for name, keys in ranges.items() if keys}
        made = cls(platform.source, platform.target, kept, run, platform.source.dump())
        made.target.server.create_database(made._kept, template=made._name)
        return made

    def restore(self) -> None:
        """Let the target be what it was after the migration."""
        oid = self.target.psql("SELECT oid FROM pg_database WHERE datname = current_database()")
        self.target.server.drop_database(self.target.url)
        self.target.server.create_database(self._name, f"OID {oid}", template=self._kept)

    def forget(self) -> None:
        """Drop the copy; no test may have altered the source."""
        assert self.source.dump() == self.dumped
        self.target.server.drop_database(self.target.server.url(self._kept))

    @property
    def _name(self) -> str:
        return self.target.url.rpartition("/")[2]

    @property
    def _kept(self) -> str:
        return f"{self._name}_kept"
