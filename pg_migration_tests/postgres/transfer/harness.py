"""Migrate between two real databases, and judge by the servers themselves what arrived."""

import itertools
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg2
import pytest
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG
from psycopg2 import sql

from pg_migration.orchestration import environment
from pg_migration.orchestration.build import build
from pg_migration.orchestration.location import code_location
from pg_migration.postgres.catalog import Catalog, Phase, discover, read_surroundings
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.connection.session_settings import pin
from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration.postgres.ddl import Outcome, apply, missing, reconcile
from pg_migration.postgres.ddl.changes import suspend
from pg_migration.postgres.ledger import runs
from pg_migration.postgres.ledger import schema as schema_
from pg_migration.postgres.ledger.lock import TargetLock
from pg_migration.postgres.migration import Migration, Options, Result, use_cases
from pg_migration.postgres.migration.comparison.compare_tables import compare_tables
from pg_migration.postgres.migration.comparison.verdict import CONTENT, Verdict
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.planning.options import LoadSettings
from pg_migration.postgres.planning.plan import TablePlan
from pg_migration.postgres.planning.planner import Planner
from pg_migration.postgres.planning.wire_format import raw_encoding
from pg_migration.postgres.snapshot.readers import lockable_tables
from pg_migration.postgres.snapshot.snapshot import Protected
from pg_migration.postgres.transfer.events import Event, NotAnalyzed, ObjectFailed, TableFailed, TableLoaded
from pg_migration.postgres.transfer.load import Load, Mode
from pg_migration.postgres.transfer.load_context import LoadContext
from pg_migration.postgres.transfer.resume import Resumption, resume
from pg_migration.postgres.transfer.sequences import read_positions, set_positions
from pg_migration_tests.conftest import PostgresServer

ROOT = Path(__file__).parents[3]
Rows = list[tuple[Any, ...]]
Hash = tuple[int, int, int]
_RUNS = itertools.count()

LIBRARY = """
import json, sys
from pg_migration.postgres.migration import Migration, Options, migrate
options = Options.model_validate(json.loads(sys.argv[3]))
sys.exit(not migrate(Migration.between(*sys.argv[1:3], options=options)).succeeded)
"""

TABLES = """
SELECT c.oid, c.relname,
       array(SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
             ORDER BY attnum)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname = %s ORDER BY c.relname
"""


@dataclass
class Database:
    """One end: a database and a schema in it."""

    server: PostgresServer
    side: Side
    url: str
    schema: str = "public"

    def psql(self, text: str) -> str:
        """Run SQL as a person would."""
        return self.server.psql(self.url, text)

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """A session with the settings that text forms depend on, which resolves names in the schema."""
        connection = psycopg2.connect(self.url, application_name="judge")
        connection.autocommit = True
        try:
            pin(connection)
            path = sql.SQL("SET search_path = {}, pg_catalog").format(sql.Identifier(self.schema))
            execute(connection, path)
            yield connection
        finally:
            connection.close()

    def rows(self, statement: sql.Composable | str, parameters: Any = None) -> Rows:
        """All rows of a query; none for a command."""
        with self.connection() as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def hashes(self) -> Mapping[str, Hash]:
        """Of every table: rows, and the sum and the xor of a hash of each row's text form."""
        with self.connection() as connection:
            return _hashes(connection, self.schema)

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint.parse(self.side, self.url, "URL")


def _listed(name: str) -> str:
    """A name in a comma-separated list."""
    return '"' + name.replace('"', '""') + '"'


def _hashes(connection: Any, schema: str) -> Mapping[str, Hash]:
    found = fetch(connection, TABLES, (schema,))
    return {name: _hash(connection, schema, name, columns) for _, name, columns in found}


def _hash(connection: Any, schema: str, table: str, columns: Sequence[str]) -> Hash:
    statement = sql.SQL(
        "SELECT count(*), coalesce(sum(h), 0), coalesce(bit_xor(h), 0) FROM "
        "(SELECT hashtextextended(ROW({})::text, 0) AS h FROM ONLY {}) AS hashed"
    ).format(sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(schema, table))
    ((count, total, mixed),) = fetch(connection, statement)
    return count, int(total), mixed


@dataclass
class Loaded:
    """What a load without Dagster said."""

    catalog: Catalog
    plans: Mapping[str, TablePlan]
    events: list[Event]
    problems: list[str] = field(default_factory=list)
    reloaded: Mapping[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> Mapping[str, str]:
        """Message by table."""
        return {e.plan.table.name: e.error for e in self.events if isinstance(e, TableFailed)}

    @property
    def loaded(self) -> Mapping[str, TableLoaded]:
        """Result by table."""
        return {e.plan.table.name: e for e in self.events if isinstance(e, TableLoaded)}


@dataclass
class Pair:
    """A source and a target to migrate between."""

    source: Database
    target: Database
    monkeypatch: pytest.MonkeyPatch
    schema_lists: tuple[str, str] | None = None
    further_schemas: Mapping[str, str] = field(default_factory=dict)

    @property
    def schemas(self) -> Mapping[str, str]:
        """What `load` takes from where to where."""
        return {self.source.schema: self.target.schema, **self.further_schemas}

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that point a run at the two databases."""
        schemas = self.schema_lists or (_listed(self.source.schema), _listed(self.target.schema))
        return {
            "PG_MIGRATION_SOURCE_URL": self.source.url,
            "PG_MIGRATION_TARGET_URL": self.target.url,
            "PG_MIGRATION_SOURCE_SCHEMA": schemas[0],
            "PG_MIGRATION_TARGET_SCHEMA": schemas[1],
            "PG_MIGRATION_REPORTS": "off",
        }

    def definitions(self) -> dg.Definitions:
        """The code location for what the source holds now."""
        for name, value in self.environment.items():
            self.monkeypatch.setenv(name, value)
        return build(code_location.load(environment.pair()))

    def migration(self, **options: Any) -> Migration:
        """What the library is told."""
        schemas = (self.environment[name] for name in ("PG_MIGRATION_SOURCE_SCHEMA", "PG_MIGRATION_TARGET_SCHEMA"))
        return Migration.between(self.source.url, self.target.url, *schemas, Options.model_validate(options))

    def migrate(self, **options: Any) -> Result:
        """Migrate everything, by the library."""
        return use_cases.migrate(self.migration(**options))

    def validate(self, **options: Any) -> Result:
        return use_cases.validate(self.migration(**options))

    def repair(self, **options: Any) -> Result:
        return use_cases.repair(self.migration(**options))

    def compare_rows(self, **options: Any) -> Sequence[Verdict]:
        """What a comparison of all rows finds, table by table."""
        migration = self.migration(**options)
        run = MigrationRun(f"test {next(_RUNS)}", migration.options, lambda: migration)
        try:
            return list(compare_tables(run, {run.target_name(table): {CONTENT} for table in run.catalog.tables}))
        finally:
            run.close()

    def run_job(
        self, job: str = "migrate", instance: dg.DagsterInstance | None = None, **config: Any
    ) -> dg.ExecuteInProcessResult:
        """Run a job of Dagster's in this process, which takes several times as long as the library alone."""
        if instance is None:
            with dg.DagsterInstance.ephemeral() as instance:
                return self.run_job(job, instance, **config)
        return (
            self.definitions()
            .resolve_job_def(job)
            .execute_in_process(
                instance=instance,
                run_config={"resources": {"migration": {"config": config}}},
                raise_on_error=False,
            )
        )

    def materialize(self, asset: str, keys: Sequence[str], instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
        """Run what the UI starts for consecutive partitions of one asset."""
        selected = [dg.AssetKey.from_user_string(asset)]
        implicit = self.definitions().resolve_implicit_global_asset_job_def()
        if len(keys) == 1:
            chosen: dict[str, Any] = {"partition_key": keys[0]}
        else:
            chosen = {"tags": {ASSET_PARTITION_RANGE_START_TAG: keys[0], ASSET_PARTITION_RANGE_END_TAG: keys[-1]}}
        return implicit.execute_in_process(instance=instance, asset_selection=selected, raise_on_error=False, **chosen)

    def start_job(self, dagster: Path, home: Path, **config: Any) -> "subprocess.Popen[str]":
        """Start the job ``migrate`` in a process of its own, as a user would, by Dagster's program."""
        (home / "dagster.yaml").write_text("telemetry: {enabled: false}")
        (home / "run.yaml").write_text(json.dumps({"resources": {"migration": {"config": config}}}))
        job = ("job", "execute", "-m", "pg_migration.definitions", "-j", "migrate", "-c", home / "run.yaml")
        return self._start(home, dagster, *job)

    def start_library(self, home: Path, **options: Any) -> "subprocess.Popen[str]":
        """Start to migrate in a process of its own, without Dagster."""
        return self._start(home, sys.executable, "-c", LIBRARY, self.source.url, self.target.url, json.dumps(options))

    def _start(self, home: Path, *arguments: str | Path) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            arguments,
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "HOME": str(home), "DAGSTER_HOME": str(home), **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def load(
        self,
        load_settings: LoadSettings | None = None,
        ranges: Mapping[str, Sequence[str]] | None = None,
        tables: Sequence[str] | None = None,
    ) -> Loaded:
        """Copy structure, rows, keys and foreign keys through the library alone.

        Args:
            ranges: partition keys by table: replace only these, and leave the structure alone.
            tables: reload only these, and leave the structure alone.
        """
        chosen = load_settings or LoadSettings()
        run_id = f"test {next(_RUNS)}"
        with Connections("pg_migration test") as connections:
            reader, writer = connections.open(self.source.endpoint), connections.open(self.target.endpoint)
            snapshot = Protected.of(
                *(connections, self.source.endpoint, reader),
                lambda source: lockable_tables(source, list(self.schemas), ()),
                chosen.workers,
            ).take()
            catalog = discover(
                reader, self.schemas, target_version=writer.server_version, surroundings=read_surroundings(writer)
            )
            lock = TargetLock(connections, self.target.endpoint, run_id)
            lock.acquire()
            schema_.create(writer)
            runs.open_run(writer, run_id, self.source.endpoint, snapshot)
            done = []
            if ranges is None and tables is None:
                plan = reconcile(catalog, discover(writer, self._target_schemas(writer)))
                for statement in plan.drop:
                    execute(writer, statement)
                first = [o for o in plan.create if o.phase is Phase.PRE_DATA]
                done = apply(writer, first, settings=catalog.settings)
            selected = ranges if ranges is not None else tables
            wanted = [t for t in catalog.tables if selected is None or t.name in selected]
            names = [catalog.target_name(t.key) for t in wanted]
            planner = Planner(reader, chosen, raw_encoding(reader, writer))
            if ranges is None:
                plans = planner.plan(wanted)
            else:
                plans = tuple(planner.plan_ranges(t, ranges[t.name]) for t in wanted)
            context = LoadContext(
                *(connections, self.source.endpoint, self.target.endpoint, snapshot, lock, run_id, self.schemas),
                *(chosen.use_unlogged_tables, chosen.workers, catalog.settings),
            )
            resumption = Resumption(plans, {}, {})
            if selected is None:
                resumption = resume(context, reader, writer, plans, chosen)
            filled = {catalog.target_name(n) for n, there in resumption.continued.items() if there.is_complete}
            suspend.suspend(writer, [n for n in names if n not in filled], keys=ranges is None)
            resumption.write(writer, context)
            there = discover(writer, self._target_schemas(writer))
            keys = missing(catalog, there, Phase.KEYS)
            mode = Mode.RELOAD if ranges is None else Mode.REPLACE_RANGES
            events = list(Load(context, resumption.plans, keys, mode, resumption.continued).events())
            set_positions(
                writer,
                {
                    (self.schemas[schema], name): position
                    for (schema, name), position in read_positions(
                        connections.open(self.source.endpoint), [s.key for s in catalog.sequences]
                    ).items()
                },
            )
            if selected is not None:
                return self._result(
                    catalog, plans, events, [], suspend.restore(writer, suspend.EVERYTHING, names).failures
                )
            # Keys alone were made since: nothing of a later phase was.
            rest = [o for o in missing(catalog, there) if o.phase in (Phase.FOREIGN_KEYS, Phase.POST_DATA)]
            done += apply(writer, rest, [o for o in done if not o.made])
            left = suspend.restore(writer, suspend.EVERYTHING).failures
            loaded = self._result(catalog, resumption.plans, events, done, left)
            loaded.reloaded = {name: reason for (_, name), reason in resumption.reloaded.items()}
            runs.close_run(writer, run_id, succeeded=not loaded.failed and not loaded.problems)
        return loaded

    def _result(
        self,
        catalog: Catalog,
        plans: Sequence[TablePlan],
        events: list[Event],
        done: Sequence[Outcome],
        left: Sequence[suspend.NotRestored],
    ) -> Loaded:
        problems = [f"{o.object.identity}: {o.error or o.skipped_because}" for o in done if not o.made]
        problems += [f"{f.object.description}: {f.error}" for f in left]
        problems += [f"{e.object.identity}: {e.error}" for e in events if isinstance(e, ObjectFailed)]
        problems += [f"{e.plan.table.name}: not analyzed: {e.error}" for e in events if isinstance(e, NotAnalyzed)]
        return Loaded(catalog, {p.table.name: p for p in plans}, events, problems)

    def check_equal(self) -> Mapping[str, Hash]:
        """Both sides have the same tables with the same rows; what they have."""
        ours, theirs = self.source.hashes(), self.target.hashes()
        assert theirs == ours
        with self.source.connection() as source, self.target.connection() as target:
            for schema, name in self.further_schemas.items():
                assert _hashes(target, name) == _hashes(source, schema)
        return ours

    def check_target_has_source(self) -> None:
        """As `check_equal`, of a target that may have further tables."""
        ours, theirs = self.source.hashes(), self.target.hashes()
        assert {name: theirs[name] for name in ours} == ours

    def in_schemas(self, schemas: Mapping[str, str], ddl: Iterable[str]) -> None:
        """Run some DDL in each of some schemas of the source, which are made, and have `load` take them over."""
        made = (f"CREATE SCHEMA {_listed(schema)}; SET search_path = {_listed(schema)};\n" for schema in schemas)
        self.source.psql("\n".join(f"{before}{text};" for before, text in zip(made, ddl, strict=True)))
        self.further_schemas = schemas

    def load_all(self, load_settings: LoadSettings | None = None) -> Loaded:
        """As `load`, and everything must have gone well and be equal."""
        loaded = self.load(load_settings)
        assert not loaded.failed, loaded.failed
        assert not loaded.problems, loaded.problems
        self.check_equal()
        return loaded

    def _target_schemas(self, writer: Any) -> Mapping[str, str]:
        """Those that are there."""
        wanted = "SELECT nspname FROM pg_namespace WHERE nspname = ANY (%s)"
        return {name: name for (name,) in fetch(writer, wanted, ([*self.schemas.values()],))}
