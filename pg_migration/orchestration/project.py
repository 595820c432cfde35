"""A Dagster project, as `dg` knows it: a folder with a pyproject.toml or a dg.toml, whose components may be pairs."""

import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pg_migration.orchestration.component import MigrationComponent
from pg_migration.orchestration.dagster_internals.components import (
    ComponentTree,
    discover_config_file,
    load_toml_as_dict,
)
from pg_migration.orchestration.pair import Pair, check_targets
from pg_migration.postgres.errors import ConfigurationError


@dataclass(frozen=True)
class Project:
    """A project. ``module`` is the one that its code location is loaded from."""

    folder: Path
    module: str

    @classmethod
    def around(cls, folder: Path) -> "Project | None":
        """The project that a folder belongs to, if any."""
        file = discover_config_file(folder)
        if file is None:
            return None
        known = load_toml_as_dict(file)
        settings = (known if file.name == "dg.toml" else known["tool"]["dg"]).get("project", {})
        module = settings.get("code_location_target_module") or f"{settings.get('root_module')}.definitions"
        return cls(file.parent, module)

    def pairs(self) -> Mapping[str, Pair]:
        """The pairs by name, in the order of their files. No server is asked, and no definitions are made.

        Raises:
            ConfigurationError: the project can't be loaded, two of its pairs have one name, or write into one schema.
        """
        for place in (self.folder, self.folder / "src"):
            if str(place) not in sys.path:
                sys.path.insert(0, str(place))
        try:
            with warnings.catch_warnings():  # about what Dagster has in beta
                warnings.simplefilter("ignore")
                found = ComponentTree.for_project(self.folder).get_all_components(MigrationComponent)
        except Exception as error:
            raise ConfigurationError(f"the project in {self.folder} can't be loaded: {_reason(error)}") from None
        pairs: dict[str, Pair] = {}
        for pair in (component.pair for component in found):
            if pair.name in pairs:
                raise ConfigurationError(f"two pairs are called {pair.name}: give each a name of its own")
            pairs[pair.name] = pair
        check_targets(pairs.values())
        return pairs


def _reason(error: BaseException) -> str:
    """What the first of several errors says, without those that only say where."""
    first = list(_causes(error))[-1]
    return str(first) if isinstance(first, ConfigurationError) else f"{type(first).__name__}: {first}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
