"""A pair of databases as a component of Dagster: a YAML document in a project that `dg` knows.

The only module that leans on Dagster's components, of which state-backed ones are in beta; `build_migration` does
without.
"""

import gc
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

import dagster as dg
import psycopg2
from dagster.components import DefsStateConfig, DefsStateConfigArgs
from dagster.components.component_scaffolding import scaffold_component
from dagster.components.scaffold.scaffold import Scaffolder, ScaffoldRequest, scaffold_with
from pydantic import BaseModel, Field, create_model

from pg_migration.orchestration.build import build
from pg_migration.orchestration.dagster_internals.components import TranslatorResolvingInfo, using_dagster_dev
from pg_migration.orchestration.location.code_location import Location, ask, load, remembered
from pg_migration.orchestration.location.translation import FIXED, TRANSLATION
from pg_migration.orchestration.pair import Pair, PairRefused
from pg_migration.postgres.catalog import TableListing
from pg_migration.postgres.errors import ConfigurationError, MigrationError, server_message
from pg_migration.postgres.migration.definition import DEFAULT_SCHEMA
from pg_migration.postgres.migration.options import Options

ASKED_AT_ONCE = 16

NEVER_ASKED = (
    "Nobody has asked the source for its tables yet, so none is an asset. `dg utils refresh-defs-state` asks all "
    "sources; `dg dev` and `pg_migration ui` do so when they start."
)


Defaults = create_model(
    "Defaults",
    __base__=dg.Model,
    **cast(
        Any,
        {
            name: (known.annotation, Field(default=None, description=known.description))
            for name, known in Options.model_fields.items()
        },
    ),
)


# As Dagster's own components that make assets of tables have it, less what a migration depends on.
Translation = create_model(
    "Translation",
    __base__=dg.Model,
    **cast(
        Any,
        {
            name: (known.annotation, known)
            for name, known in dg.AssetAttributesModel.model_fields.items()
            if name not in FIXED
        },
    ),
)


class Attributes(dg.Model):
    """The attributes of the component, as YAML has them."""

    name: str = Field(description="What all names begin with: the asset shop/public/orders, the job shop__migrate.")
    source: str = Field(description="The environment variable with the URL of the database to read. Never the URL.")
    target: str = Field(description="The environment variable with the URL of the database to write. Never the URL.")
    replication: str = Field(
        default="",
        description="The environment variable with the URL by which the target's server reaches the source, where that "
        "is another one; for runs that follow.",
    )
    way_back: str = Field(
        default="", description="Likewise how the source's server reaches the target, for a cutover with a way back."
    )
    on_cutover: str = Field(default="", description="A command that a cutover runs when the target has taken over.")
    source_schemas: str | list[str] = Field(
        default=DEFAULT_SCHEMA, description='The schemas to migrate, or "*" for all of the source.'
    )
    target_schemas: str | list[str] | None = Field(
        default=None, description="What they are called in the target, in the same order."
    )
    defaults: Defaults | None = Field(  # type: ignore[valid-type]  # it is a class, made of the options
        default=None, description="Options of runs, where they are to be others than those of pg_migration."
    )
    schedule: dict[Literal["migrate", "validate"], str] = Field(
        default_factory=dict, description="When jobs are started, as cron schedules. They are on from the beginning."
    )
    timezone: str = Field(default="UTC", description="The time zone of these times.")
    run_config: str = Field(default="", description="A file with the run configuration of what schedules start.")
    transform: str = Field(default="", description="A file that says what is chosen and masked of the source's rows.")
    translation: str | Translation | None = Field(  # type: ignore[valid-type]  # it is a class, made of the attributes
        default=None,
        description="What the assets of tables are to be, other than pg_migration makes them: templates over table "
        "and spec.",
    )
    owners: list[str] = Field(default_factory=list, description="Who is responsible for the assets.")
    fresh_within_hours: float | None = Field(
        default=None, description="After how many hours without a copy an asset counts as stale."
    )
    pool: str | None = Field(
        default=None, description="The concurrency pool of steps that read the source; one for each source by default."
    )
    bring_roles: bool = Field(
        default=False, description="Whether `pg_migration run` first makes the roles that the target lacks."
    )
    create_database: bool = Field(
        default=False, description="Whether `pg_migration run` makes the target database where it does not exist."
    )
    defs_state: DefsStateConfigArgs | None = Field(
        default=None, description="Where the list of the source's tables is kept; by default in the project."
    )


class MigrationScaffolder(Scaffolder[Any]):
    """Writes a document that loads as it is; its two variables have to be set before anything is copied."""

    def scaffold(self, request: ScaffoldRequest[Any]) -> None:
        """Write it, called like its folder."""
        from pg_migration.orchestration.pair_names import pair_name, variables_of

        name = pair_name(request.target_path.name)
        source, target = variables_of(name)
        scaffold_component(request, {"name": name, "source": source, "target": target, "source_schemas": ["public"]})


@scaffold_with(MigrationScaffolder)
@dataclass
class MigrationComponent(dg.StateBackedComponent, dg.Resolvable):
    """Moves one PostgreSQL database into another: an asset for each table, with checks, jobs and schedules.

    Its state is the list of the source's tables, so that the code location loads without asking any source.
    """

    pair: Pair
    defs_state: DefsStateConfigArgs = field(default_factory=DefsStateConfigArgs.local_filesystem)
    _place: str = field(default="", init=False, repr=False, compare=False)
    _every: "Sequence[MigrationComponent]" = field(default=(), init=False, repr=False, compare=False)

    @classmethod
    def model(cls) -> type[BaseModel]:
        """The attributes that YAML may have."""
        return Attributes

    @classmethod
    def resolve_from_model(cls, context: dg.ResolutionContext, model: BaseModel) -> "MigrationComponent":
        """From the attributes of a document.

        Raises:
            ConfigurationError: with the file, the line and the column of an attribute that can't be used.
        """
        given: dict[str, Any] = dict(
            context.resolve_value(model.model_dump(exclude_unset=True, exclude={"defs_state", TRANSLATION}))
        )
        attributes = cast(Attributes, model)
        if attributes.translation is not None:
            given[TRANSLATION] = _Translation(context, attributes.translation, str(given["name"]))
        try:
            pair = Pair(**{name: value for name, value in given.items() if value is not None})
            if not pair.name:
                raise PairRefused("name", "a pair of a component has to have a name")
            pair.check()
        except PairRefused as error:
            raise ConfigurationError(f"{_place(context, error.attribute)}{error}") from None
        made = cls(pair) if attributes.defs_state is None else cls(pair, attributes.defs_state)
        made._place = _place(context, TRANSLATION)
        return made

    @property
    def defs_state_config(self) -> DefsStateConfig:
        """Where the list of tables is kept."""
        return DefsStateConfig.from_args(self.defs_state, default_key=f"pg_migration[{self.pair.name}]")

    def write_state_to_path(self, state_path: Path) -> None:
        """Ask the source for its tables.

        Under `dagster dev` a source that is down takes no other pair's assets away: what was known stands in, and says
        so. Whoever refreshes the state on purpose is told.

        Raises:
            MigrationError: it can't be asked.
        """
        if using_dagster_dev():
            found = _loaded_together(self.pair, [other.pair for other in self._every])
        else:
            try:
                found = ask(self.pair)
            except (MigrationError, psycopg2.Error) as error:
                problem = str(error) if isinstance(error, MigrationError) else server_message(error)
                raise MigrationError(f"{self.pair}: {problem}") from None
        state_path.write_text(found.as_json(), encoding="utf-8")

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The definitions, after the source was asked where Dagster wants that."""
        self._every = context.component_tree.get_all_components(MigrationComponent)
        return super().build_defs(context)

    def build_defs_from_state(self, context: dg.ComponentLoadContext, state_path: Path | None) -> dg.Definitions:
        """The definitions for the tables that are known. No server is asked.

        Raises:
            ConfigurationError: when two pairs have one name, or write into the same schema of one database; with the
                file, the line and the column where the translation can't be used.
        """
        every = context.component_tree.get_all_components(MigrationComponent)
        if sum(other.pair.name == self.pair.name for other in every) > 1:
            raise ConfigurationError(f"two pairs are called {self.pair.name}: give each a name of its own")
        if state_path is not None:
            known = Location.from_json(self.pair, state_path.read_text(encoding="utf-8"))
        else:
            known = remembered(self.pair, NEVER_ASKED) or Location(self.pair, {}, (), NEVER_ASKED)
        location = replace(known, kept=not using_dagster_dev())
        # Dagster copies what components define, so the same object of each would be as many.
        try:
            made = build(location, with_shared=every[0] is self)
        except PairRefused as error:
            raise ConfigurationError(f"{self._place}{error}") from None
        gc.freeze()  # it stays, and Python would look through it for each of the pairs that follow
        return made


@dataclass(frozen=True)
class _Translation:
    """The translation of a document. ``wanted`` is its attributes, or a template that gives all of them.

    ``name`` is the pair's.
    """

    context: dg.ResolutionContext
    wanted: str | dg.Model
    name: str

    def __call__(self, table: TableListing, spec: dg.AssetSpec) -> dg.AssetSpec:
        try:
            return self._applied(self.wanted, table, spec)
        except Exception as error:  # of a template, which may call what a project defines
            said = str(error).strip().splitlines() or [type(error).__name__]
            raise ConfigurationError(
                f"{self._place_of_error(table, spec)}the translation of pair {self.name} can't be used for "
                f"table {table.schema}.{table.name}: {said[-1]}"
            ) from None

    def _applied(self, wanted: str | dg.Model, table: TableListing, spec: dg.AssetSpec) -> dg.AssetSpec:
        given = wanted if isinstance(wanted, str) else dg.AssetAttributesModel(**wanted.model_dump(exclude_unset=True))
        info = TranslatorResolvingInfo(given, self.context, TRANSLATION)
        return info.get_asset_spec(spec, {"table": table, "spec": spec})

    def _place_of_error(self, table: TableListing, spec: dg.AssetSpec) -> str:
        """That of the first attribute that can't be used alone, for Dagster tells of it in many lines."""
        if not isinstance(self.wanted, str):
            for name, value in self.wanted.model_dump(exclude_unset=True).items():
                if not self._can_be_used(Translation(**{name: value}), table, spec):
                    return _place(self.context.at_path(TRANSLATION), name)
        return _place(self.context, TRANSLATION)

    def _can_be_used(self, wanted: dg.Model, table: TableListing, spec: dg.AssetSpec) -> bool:
        with suppress(Exception):
            self._applied(wanted, table, spec)
            return True
        return False


_loaded: dict[str, Location] = {}


def _loaded_together(pair: Pair, every: Sequence[Pair]) -> Location:
    """What the source of a pair has now. When the first pair is asked for, all sources are asked at once.

    Dagster asks one component after the other, and a server behind a firewall takes as long as it may to be missed.
    """
    if pair.name not in _loaded:
        with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
            found = pool.map(load, every or [pair])
            _loaded.update((location.pair.name, location) for location in found)
    return _loaded.pop(pair.name)  # who reloads asks again


def _place(context: dg.ResolutionContext, attribute: str) -> str:
    tree = context.source_position_tree
    if tree is None:
        return ""
    found, _ = tree.lookup_closest_and_path([*context.path, attribute], None)
    return f"{found.filename}:{found.start.line}:{found.start.col}: "
