"""Assets of tables as somebody else wants them: with keys, groups, tags of a project that is there already."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg

from pg_migration.orchestration.location.names import OWN_ASSETS, own_key
from pg_migration.orchestration.pair import Pair, PairRefused
from pg_migration.postgres.catalog import TableListing, TableName

if TYPE_CHECKING:
    from pg_migration.orchestration.pair import Translate

TRANSLATION = "translation"
# A migration depends on these: tables are copied after the target's DDL, by key ranges, and some by later runs.
FIXED = ("deps", "partitions_def", "skippable")
_LEGAL = re.compile(r"[A-Za-z0-9_]+")


def translated(
    pair: Pair,
    tables: Mapping[TableName, TableListing],
    specs: Mapping[TableName, dg.AssetSpec],
    translate: "Translate",
) -> Mapping[TableName, dg.AssetSpec]:
    """The assets of some tables after the translation.

    Raises:
        PairRefused: it changes what a migration depends on, or gives a table a key that Dagster does not accept, that
            another table has, or that an asset of every migration has.
    """
    found = {name: _checked(pair, name, specs[name], translate(tables[name], specs[name])) for name in specs}
    taken = {own_key(pair, name).to_python_identifier(): f"the asset {name}" for name in OWN_ASSETS}
    for name, spec in found.items():
        # Dagster joins the parts of a key to the name of a step's output.
        identifier, table = spec.key.to_python_identifier(), f"table {'.'.join(name)}"
        if identifier in taken:
            raise PairRefused(
                TRANSLATION,
                f"the translation of {pair} gives {taken[identifier]} and {table} the same key "
                f"{spec.key.to_user_string()}: have the key name the schema, too",
            )
        taken[identifier] = table
    return found


def _checked(pair: Pair, name: TableName, before: dg.AssetSpec, after: dg.AssetSpec) -> dg.AssetSpec:
    of = f"the translation of {pair} gives table {'.'.join(name)}"
    if changed := [what for what in FIXED if getattr(before, what) != getattr(after, what)]:
        raise PairRefused(TRANSLATION, f"{of} other {' and '.join(changed)}, which a migration depends on")
    if not (after.key.path and all(map(_LEGAL.fullmatch, after.key.path))):
        raise PairRefused(
            TRANSLATION,
            f"{of} the key {after.key.to_user_string()!r}, but its parts may hold letters, digits and underscores "
            f"alone. spec.key.path has the names of schema and table made so",
        )
    return after
