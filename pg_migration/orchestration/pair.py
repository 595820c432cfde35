"""A pair of databases: where a migration reads and writes, with which options, and what its definitions are called."""

import csv
import io
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pg_migration.orchestration.env_file import read_env_file
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.migration.definition import DEFAULT_SCHEMA, Migration
from pg_migration.postgres.migration.options import Options
from pg_migration.postgres.migration.schemas import EVERY_SCHEMA, map_schemas

if TYPE_CHECKING:
    import dagster as dg

    from pg_migration.postgres.catalog import TableListing

    # From a table, its schema called as in the target, and the asset that it would be, to the asset that it is.
    Translate = Callable[[TableListing, dg.AssetSpec], dg.AssetSpec]

# Dagster joins the parts of names with two underscores, and so does `Pair.named`: a name has none where it is joined.
NAME = re.compile(r"(?!.*__)(?!.*_$)[a-z][a-z0-9_]{0,29}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SCHEDULES = ("migrate", "validate")

MIGRATION = "migration"


class PairRefused(ConfigurationError):
    """A pair that can't be: ``attribute`` is the one that can't be used."""

    def __init__(self, attribute: str, message: str) -> None:
        super().__init__(message)
        self.attribute = attribute


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two databases and what is chosen about the migration from one into the other.

    Args:
        source: the name of the environment variable that holds the URL of the database to read. Never the URL itself,
            which may hold a password.
        target: likewise of the database to write.
        name: what all names in Dagster begin with: lower-case letters, digits and single underscores, at most 30. Empty
            for the one pair that the variables PG_MIGRATION_... describe, whose names have no prefix.
        replication: the environment variable with the URL by which the target's server reaches the source, where that
            is another one than ``source`` has. Only for runs that follow.
        way_back: likewise the URL by which the source's server reaches the target, for a cutover with a way back.
        on_cutover: a command that a cutover and a way back run when the other server has taken over, to turn
            applications to it.
        source_schemas: names, or "*" for every schema of the source that is not PostgreSQL's own. A text holds several
            names with commas between them.
        target_schemas: as many names, in the same order; None keeps the source's.
        defaults: options of runs that are other than `pg_migration.postgres.migration.Options` has them, by their names
            there. What a run is started with goes before them.
        schedule: when the jobs ``migrate`` and ``validate`` are started, as cron schedules. A job that is named here is
            started from the beginning; others are, daily and hourly, once somebody switches their schedule on.
        timezone: of these times.
        run_config: a file with the run configuration of what schedules and sensors start.
        transform: a file that says what is chosen and masked of the source's rows; see docs/masking.md.
        translation: what the assets of tables are to be, other than the pair makes them: a function of the table, its
            schema called as in the target, and of the asset. What it depends on and its partitions stay.
        owners: who is responsible for the assets: e-mail addresses, or team:name.
        fresh_within_hours: after how many hours without a copy an asset counts as stale.
        pool: Dagster's concurrency pool of steps that read the source; by default one for each source database.
        bring_roles: whether `pg_migration run` makes the roles first that the source needs and the target lacks.
        create_database: whether `pg_migration run` makes the target database where it does not exist.

    Raises:
        ConfigurationError: naming what can't be used. Whether the variables are set is looked at when they are needed.
    """

    source: str
    target: str
    name: str = ""
    replication: str = ""
    way_back: str = ""
    on_cutover: str = ""
    source_schemas: str | Sequence[str] = DEFAULT_SCHEMA
    target_schemas: str | Sequence[str] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    schedule: Mapping[str, str] = field(default_factory=dict)
    timezone: str = "UTC"
    run_config: str = ""
    transform: str = ""
    translation: "Translate | None" = field(default=None, repr=False)
    owners: Sequence[str] = ()
    fresh_within_hours: float | str | None = None
    pool: str | None = None
    bring_roles: bool = False
    create_database: bool = False
    _options: Options = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.name and not NAME.fullmatch(self.name):
            raise PairRefused(
                "name",
                f"a pair can't be called {self.name!r}: a name begins with a lower-case letter, has at most 30 "
                f"lower-case letters, digits and single underscores, and does not end with an underscore",
            )
        variables = {"source": self.source, "target": self.target}
        variables |= {name: v for name, v in (("replication", self.replication), ("way_back", self.way_back)) if v}
        for attribute, variable in variables.items():
            if not _VARIABLE.fullmatch(variable):
                raise PairRefused(
                    attribute,
                    f"the {attribute} of {self} has to be the name of an environment variable, such as "
                    f"{(self.name or 'shop').upper()}_{attribute.upper()}_URL. Set the URL as the value of that "
                    f"variable, in the environment or in a file .env: it may hold a password. (What was given is not "
                    f"shown.)",
                )
        if unknown := sorted(set(self.schedule) - set(SCHEDULES)):
            raise PairRefused(
                "schedule",
                f"{self} can't schedule {', '.join(unknown)}: there are schedules for {' and '.join(SCHEDULES)}",
            )
        object.__setattr__(self, "_options", self._checked_options())

    def _checked_options(self) -> Options:
        if unknown := sorted(set(self.defaults) - set(Options.model_fields)):
            raise PairRefused(
                "defaults",
                f"{self} has defaults for {', '.join(unknown)}, but no option is called so. The options are "
                f"{', '.join(sorted(Options.model_fields))}",
            )
        try:
            options = Options.model_validate(dict(self.defaults))
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise PairRefused("defaults", f"{self} has defaults that can't be used: {wrong}") from None
        if problems := "; ".join(options.problems()):
            raise PairRefused("defaults", f"{self} has defaults that can't be used: {problems}")
        return options

    def __str__(self) -> str:
        return f"pair {self.name}" if self.name else "the pair"

    def check(self) -> None:
        """Reject schemas that don't pair up, which `__init__` takes: those of the environment are told of in runs.

        Raises:
            PairRefused: naming them.
        """
        source, target = self.schemas
        try:
            if source.strip() != EVERY_SCHEMA or target:
                map_schemas(source, target)
        except ConfigurationError as error:
            raise PairRefused("source_schemas", f"{self}: {error}") from None

    @property
    def options(self) -> Options:
        """The options of a run that was told nothing else."""
        return self._options

    @property
    def transforms(self) -> bool:
        """Whether runs that were told nothing else choose or mask rows."""
        return bool(self.transform or self.options.transform)

    def named(self, name: str) -> str:
        """What a job, step, resource, schedule, sensor or group of this pair is called."""
        return f"{self.name}__{name}" if self.name else name

    @property
    def resource(self) -> str:
        """The key of the resource that holds a run."""
        return self.named(MIGRATION)

    def variable(self, side: Side) -> str:
        """The environment variable with the URL of one end."""
        return self.source if side is Side.SOURCE else self.target

    def endpoint(self, side: Side) -> Endpoint:
        """The database at one end.

        Raises:
            ConfigurationError: when its variable is missing or malformed. Also when there is a file ``.env`` that can't
                be read: Dagster goes on without it, with what the environment says.
        """
        with suppress(FileNotFoundError):
            read_env_file(Path.cwd())
        variable = self.variable(side)
        return Endpoint.parse(side, os.environ.get(variable), variable)

    def known_endpoint(self, side: Side) -> Endpoint | None:
        """As `endpoint`; None where there is none that can be used."""
        try:
            return self.endpoint(side)
        except ConfigurationError:
            return None

    def place(self, side: Side) -> str:
        """One word for the database at one end, the same for every way to write its address and for every role."""
        end = self.known_endpoint(side)
        return end.place if end is not None else "unknown"

    @property
    def places(self) -> str:
        """The two databases in one word, as `place` names them."""
        return f"{self.place(Side.SOURCE)} to {self.place(Side.TARGET)}"

    @property
    def schemas(self) -> tuple[str, str | None]:
        """The schemas of source and target as `Migration` takes them."""
        target = self.target_schemas
        return _joined(self.source_schemas), None if target is None else _joined(target)

    def migration(self, options: Options) -> Migration:
        """The migration with some options.

        Raises:
            ConfigurationError: naming every URL that can't be used. Options and schemas are not looked at.
        """
        ends = [self._endpoint_or_error(side) for side in Side]
        source, target = ends
        if isinstance(source, Endpoint) and isinstance(target, Endpoint):
            source_schemas, target_schemas = self.schemas
            return Migration(
                source=source,
                target=target,
                source_schemas=source_schemas,
                target_schemas=target_schemas,
                options=options,
                transform_file=self.transform,
                replication_url=self._other_way("replication", self.replication),
                way_back_url=self._other_way("way_back", self.way_back),
                variables=os.environ,
            )
        raise ConfigurationError("\n".join(str(end) for end in ends if isinstance(end, ConfigurationError)))

    def _other_way(self, attribute: str, variable: str) -> str:
        """The URL by which one server reaches the other; empty where that is no other than this program takes.

        Raises:
            ConfigurationError: the pair names a variable that is not set. That of the environment names one always.
        """
        url = os.environ.get(variable, "").strip() if variable else ""
        if variable and not url and self.name:
            raise ConfigurationError(f"{variable} is not set, which {self} has as {attribute}: set it to the URL")
        return url

    def _endpoint_or_error(self, side: Side) -> Endpoint | ConfigurationError:
        try:
            return self.endpoint(side)
        except ConfigurationError as error:
            return error

    def started_config(self) -> dict[str, Any]:
        """The run configuration that schedules and sensors start with: that of a file, as `-c` takes it, or none.

        Raises:
            ConfigurationError: when the file can't be read or holds something else.
        """
        path = self.run_config
        if not path:
            return {}
        import yaml  # which most commands have no use for

        try:
            found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigurationError(
                f"{self._run_config_setting} names {path}, which can't be read: {' '.join(str(error).split())}"
            ) from None
        if not isinstance(found, dict):
            raise ConfigurationError(f"{self._run_config_setting} names {path}, which is not a run configuration")
        return found

    @property
    def _run_config_setting(self) -> str:
        return f"run_config of {self}" if self.name else "PG_MIGRATION_RUN_CONFIG"

    def excluded_tables(self) -> list[str]:
        """The patterns of tables that runs of schedules and sensors leave out.

        Raises:
            ConfigurationError: as `started_config`.
        """
        found = self._started_with("exclude_tables")
        return [str(pattern) for pattern in found] if isinstance(found, list) else self.options.exclude_tables

    def swaps(self) -> bool:
        """Whether runs of schedules and sensors put whole copies in the place of the live ones.

        Raises:
            ConfigurationError: as `started_config`.
        """
        return bool((self._started_with("refresh") or self.options.refresh) == "swap")

    def copies_large_objects(self) -> bool:
        """Whether runs of schedules and sensors copy large objects.

        Raises:
            ConfigurationError: as `started_config`.
        """
        told = self._started_with("large_objects")
        return self.options.large_objects if told is None else bool(told)

    def _started_with(self, option: str) -> Any:
        """What the run configuration of schedules and sensors says of an option; None where it says nothing."""
        found: Any = self.started_config()
        for name in ("resources", self.resource, "config", option):
            found = found.get(name) if isinstance(found, dict) else None
        return found

    @property
    def fresh_within(self) -> timedelta | None:
        """After which time a table counts as stale; None where nobody said.

        Raises:
            ConfigurationError: when it is no number of hours above 0.
        """
        told = self.fresh_within_hours
        if told is None or told == "":
            return None
        try:
            hours = float(told)
        except ValueError:
            hours = 0
        if not 0 < hours < inf:
            setting = f"fresh_within_hours of {self}" if self.name else "PG_MIGRATION_FRESH_WITHIN_HOURS"
            raise ConfigurationError(f"{setting} is {told!r}, but must be a number of hours above 0")
        return timedelta(hours=hours)


def check_targets(pairs: Iterable[Pair]) -> None:
    """Refuse pairs of which two write into one schema of one database, as far as they name schemas and databases.

    Raises:
        ConfigurationError: naming them.
    """
    taken: dict[tuple[str, str], Pair] = {}
    for pair in pairs:
        end, (source, target) = pair.known_endpoint(Side.TARGET), pair.schemas
        if end is None or source.strip() == EVERY_SCHEMA:
            continue
        for schema in map_schemas(source, target).values():
            other = taken.setdefault((end.place, schema), pair)
            if other is not pair:
                raise ConfigurationError(shared_target(pair, other, end.place, [schema]))


def shared_target(pair: Pair, other: Pair, place: str, schemas: Sequence[str]) -> str:
    """Why two pairs can't be."""
    return (
        f"{pair} and {other} both write into {', '.join(schemas)} of {place}: each would replace what the other "
        f"copies. Give one of them another target, or target_schemas of its own"
    )


def _joined(names: str | Sequence[str]) -> str:
    """Names as a list with commas, in which one that holds a comma is quoted."""
    if isinstance(names, str):
        return names
    written = io.StringIO()
    csv.writer(written, lineterminator="").writerow(names)
    return written.getvalue()
