"""Who may import whom; docs/design.md says why."""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import pg_migration

ROOT = Path(pg_migration.__file__).parents[1]

# Each may import those above it. Where two stand side by side, neither imports the other.
FLOORS_OF_THE_LIBRARY = (
    ("errors", "figures", "sql_files", "execution"),
    ("connection",),
    ("roles", "databases"),
    ("catalog",),
    ("transform",),
    ("snapshot",),
    ("ledger",),
    ("planning", "ddl", "statistics"),
    ("hashing",),
    ("preflight", "transfer"),
    ("verification", "large_objects", "swap"),
    ("source_changes", "replication"),
    ("migration",),
)
# Values without behaviour, that a report shows as they are, and how figures are written.
REPORTED_VALUES = {
    ("pg_migration.postgres.figures", "count"),
    ("pg_migration.postgres.figures", "counted"),
    ("pg_migration.postgres.figures", "duration"),
    ("pg_migration.postgres.figures", "foreseen"),
    ("pg_migration.postgres.figures", "size"),
    ("pg_migration.postgres.figures", "roughly"),
    ("pg_migration.postgres.catalog", "Notice"),
    ("pg_migration.postgres.planning.forecast", "Forecast"),
    ("pg_migration.postgres.preflight", "Finding"),
    ("pg_migration.postgres.preflight", "Severity"),
    ("pg_migration.postgres.preflight.objects", "NOT_COPIED"),
    ("pg_migration.postgres.verification.row_differences", "RowDifference"),
}
# Modules; more than that nobody finds their way in.
MOST_IN_A_FOLDER = 12
DAGSTERS_INTERNALS = "pg_migration.orchestration.dagster_internals"


@dataclass(frozen=True)
class Import:
    """``name`` of ``module``, as one of our modules takes it; the name is empty where all of the module is taken."""

    importer: str
    module: str
    name: str = ""

    @property
    def target(self) -> str:
        """The module that has to be loaded for it."""
        whole = f"{self.module}.{self.name}"
        return whole if whole in modules() else self.module

    def __str__(self) -> str:
        return f"{self.importer} imports {self.name or 'all'} of {self.module}"


def modules(package: str = "pg_migration") -> Mapping[str, Path]:
    """Our modules by name."""
    return _modules(package)


@cache
def _modules(package: str) -> Mapping[str, Path]:
    files = (ROOT / package).rglob("*.py")
    return {".".join(f.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): f for f in files}


def imports(package: str = "pg_migration") -> tuple[Import, ...]:
    """Every import in our modules, wherever it stands."""
    return _all_imports(package)


@cache
def _all_imports(package: str) -> tuple[Import, ...]:
    return tuple(found for name, path in modules(package).items() for found in _imports(name, path))


def _imports(importer: str, path: Path) -> Iterator[Import]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{importer} imports by a relative name"
            yield from (Import(importer, str(node.module), alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (Import(importer, alias.name) for alias in node.names)


def is_in(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def room(module: str) -> str | None:
    """The first folder, or the module, below the library's top."""
    parts = module.split(".")
    return parts[2] if parts[:2] == ["pg_migration", "postgres"] and len(parts) > 2 else None


def listed(found: Iterator[Import]) -> str:
    return "\n".join(map(str, found))


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("pg_migration.postgres", ["pg_migration.postgres"]),
        ("pg_migration.reporting", ["pg_migration.reporting"]),
        (
            "pg_migration.orchestration",
            ["pg_migration.orchestration", "pg_migration.postgres", "pg_migration.reporting"],
        ),
    ],
)
def test_no_layer_knows_those_above_it(package: str, allowed: list[str]) -> None:
    assert not listed(
        i
        for i in imports()
        if is_in(i.importer, package)
        and is_in(i.module, "pg_migration")
        and not is_in(i.target, *allowed)
        and not (package == "pg_migration.reporting" and (i.module, i.name) in REPORTED_VALUES)
    )


@pytest.mark.parametrize("package", ["pg_migration.postgres", "pg_migration.reporting"])
def test_the_library_and_the_reports_know_no_dagster(package: str) -> None:
    assert not listed(
        i for i in imports() if is_in(i.importer, package) and i.module.split(".")[0].startswith("dagster")
    )


def test_the_library_reads_no_environment_but_libpqs() -> None:
    reading = {
        name
        for name, path in modules().items()
        if is_in(name, "pg_migration.postgres") and re.search(r"\b(environ|getenv)\b", path.read_text(encoding="utf-8"))
    }
    connection = "pg_migration.postgres.connection"
    assert reading == {f"{connection}.endpoint", f"{connection}.service_files"}


def test_every_room_of_the_library_has_its_floor() -> None:
    rooms = [name for floor in FLOORS_OF_THE_LIBRARY for name in floor]
    assert sorted(rooms) == sorted({name for module in modules() if (name := room(module))})


def test_no_folder_of_the_library_is_crowded() -> None:
    files = (path for name, path in modules().items() if is_in(name, "pg_migration.postgres"))
    folders = Counter(str(path.parent.relative_to(ROOT)) for path in files if path.name != "__init__.py")
    assert {folder: number for folder, number in folders.items() if number > MOST_IN_A_FOLDER} == {}


def test_rooms_of_the_library_import_from_lower_floors_alone() -> None:
    floors = {name: number for number, floor in enumerate(FLOORS_OF_THE_LIBRARY) for name in floor}
    assert not listed(
        i
        for i in imports()
        if (here := room(i.importer)) and (there := room(i.target)) and here != there and floors[there] >= floors[here]
    )


def test_no_module_needs_itself() -> None:
    graph: dict[str, set[str]] = {}
    for found in imports():
        if is_in(found.module, "pg_migration") and found.target != found.importer:
            graph.setdefault(found.importer, set()).add(found.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_one_place_imports_what_dagster_keeps_to_itself() -> None:
    assert not listed(
        i
        for i in imports()
        if i.module.split(".")[0].startswith("dagster")
        and (i.module.startswith("dagster_shared") or any(part.startswith("_") for part in i.module.split(".")[1:]))
        and not is_in(i.importer, DAGSTERS_INTERNALS)
    )


@pytest.mark.parametrize("package", ["pg_migration", "pg_migration_tests"])
def test_no_module_imports_what_another_keeps_to_itself(package: str) -> None:
    assert not listed(
        i
        for i in imports(package)
        if is_in(i.module, "pg_migration", "pg_migration_tests")
        and any(part.startswith("_") and not part.startswith("__") for part in f"{i.module}.{i.name}".split("."))
    )
