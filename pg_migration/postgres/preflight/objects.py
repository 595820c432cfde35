"""Whether the target can take what is in the source's schemas."""

import re
from collections.abc import Iterator

from pg_migration.postgres.catalog import Catalog
from pg_migration.postgres.ddl import unsupported
from pg_migration.postgres.figures import listed
from pg_migration.postgres.preflight.ends import Ends, Intent, ask
from pg_migration.postgres.preflight.finding import Finding, error, passed, warning
from pg_migration.postgres.roles.reach import quoted

FEATURES = "features of the target's version"
EXTENSIONS = "extensions in the target"
PRIMARY_KEYS = "primary keys of the source"
NOT_COPIED = "not copied"
FOREIGN_PARTITIONS = "foreign partitions"
EVENT_TRIGGERS = "event triggers in the target"

_NUMBERS = re.compile(r"\d+(\.\d+)*")


def features(ends: Ends, catalog: Catalog) -> Finding:
    """That the target's version has what the source uses."""
    lines = unsupported(catalog, ends.target.server_version)
    if not lines:
        return passed(FEATURES, "all that the source uses")
    major = ends.target.server_version // 10000
    in_rows = "\n".join(f"  - {line}" for line in lines)
    return error(
        FEATURES,
        f"the target runs PostgreSQL {major}, which lacks what the source uses:\n{in_rows}",
        "Give a newer target, or leave these out",
    )


def extension_names(catalog: Catalog) -> list[str]:
    """The extensions that the schemas need."""
    return sorted({item.name for item in catalog.objects if item.kind == "extension"})


def extensions(ends: Ends, catalog: Catalog) -> list[Finding]:
    """That the extensions that the schemas need are there, or can be made."""
    names = extension_names(catalog)
    if not names:
        return [passed(EXTENSIONS, "none needed")]
    in_source = dict(ask(ends.source, "extension_versions", names=names))
    found = []
    for name, installed, default, needs_superuser in ask(ends.target, "available_extensions", names=names):
        if default is None and installed is None:
            found.append(
                error(
                    EXTENSIONS,
                    f"the target's server does not have extension {name}",
                    "Install the package that brings it (most are in postgresql-contrib) on the target's server, or "
                    "leave out what uses it",
                )
            )
        elif installed is None and needs_superuser:
            found.append(
                warning(
                    EXTENSIONS,
                    f"only a superuser may create extension {name} in the target",
                    f"Have one run there: CREATE EXTENSION {quoted(name)}; it is kept",
                )
            )
        if (there := installed or default) and is_older(there, in_source.get(name, "")):
            found.append(
                warning(
                    EXTENSIONS,
                    f"extension {name} is {in_source[name]} in the source and {there} in the target",
                    f"Bring the target's package up to date{_update(name) if installed else ''}",
                )
            )
    return found or [passed(EXTENSIONS, listed(names) if names else "none needed")]


def _update(name: str) -> str:
    return f", then run there: ALTER EXTENSION {quoted(name)} UPDATE;"


def is_older(version: str, than: str) -> bool:
    """Whether one extension's version comes before another; False where they are no plain numbers."""
    if not (_NUMBERS.fullmatch(version) and _NUMBERS.fullmatch(than)):
        return False
    return [int(part) for part in version.split(".")] < [int(part) for part in than.split(".")]


def primary_keys(catalog: Catalog, intent: Intent) -> Finding:
    """Which tables have none: they are copied and compared all the same, but a large one only as a whole."""
    keyless = [table for table in catalog.tables if not table.primary_key and table.kind == "r"]
    large = [table for table in keyless if table.reltuples > intent.partition_threshold]
    if large:
        return warning(
            PRIMARY_KEYS,
            f"large tables have none, and can't be reloaded in parts: {listed('.'.join(t.key) for t in large)}",
            "Add a primary key if they are to be cut into ranges; they are copied and compared without one, too",
        )
    if keyless:
        names = listed(sorted(".".join(table.key) for table in keyless))
        return passed(PRIMARY_KEYS, f"none in {names}; copied and compared as a whole")
    return passed(PRIMARY_KEYS, "every table has one")


def not_copied(catalog: Catalog) -> Finding:
    """What of the source stays behind."""
    if not catalog.notices:
        return passed(NOT_COPIED, "everything comes along")
    named = (f"{notice.kind} {notice.name}: {notice.reason}" for notice in catalog.notices)
    return warning(NOT_COPIED, "; ".join(named), "Set up in the target by hand what is needed there")


def foreign_partitions(catalog: Catalog) -> Iterator[Finding]:
    """That no row can go to another server: where the target's hashes differ, rows are not in the same partitions."""
    foreign = {(item.schema, item.name) for item in catalog.objects if item.kind == "foreign table"}
    trees = {
        table.root: sorted(foreign.intersection(table.left_out))
        for table in catalog.tables
        if table.through_root and table.root is not None and not foreign.isdisjoint(table.left_out)
    }
    for root, partitions in trees.items():
        yield error(
            FOREIGN_PARTITIONS,
            f"rows of {'.'.join(root)} are in other partitions in the target, where its key is hashed otherwise, and "
            f"some would go to the servers of {listed('.'.join(name) for name in partitions)}",
            "Leave the foreign partitions out with exclude_tables, or detach them in the source",
        )


def event_triggers(ends: Ends) -> Finding:
    """That nothing in the target reacts to every command of the migration, but what the run disables meanwhile."""
    names = [name for (name,) in ask(ends.target, "event_triggers")]
    if names:
        return warning(
            EVENT_TRIGGERS,
            f"{listed(names)} fires for the commands of the migration, and may refuse them",
            "Have its owner disable it for the time of the migration: ALTER EVENT TRIGGER ... DISABLE",
        )
    return passed(EVENT_TRIGGERS, "none that the run could not disable for as long as it works")
