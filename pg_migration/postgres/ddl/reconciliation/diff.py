"""List what is different about two databases' structures."""

from collections.abc import Iterator
from dataclasses import dataclass

from pg_migration.postgres.catalog import Catalog, SchemaObject
from pg_migration.postgres.catalog.identity import by_identity, is_same, there
from pg_migration.postgres.ddl.reconciliation.alter import setting_differences
from pg_migration.postgres.ddl.reconciliation.operator_lookup import describe_lookups
from pg_migration.postgres.ddl.reconciliation.reconcile import can_be_made, table_differences
from pg_migration.postgres.ddl.reconciliation.surplus import Surplus, Verdict


@dataclass(frozen=True)
class Difference:
    """One object that is not the same on both sides: its identity, and what about it differs.

    ``missing`` is set for what only the source has, ``surplus`` for what only the target has, ``meaning`` for what
    finds other operators in the target, whatever its text says. ``stays`` says that a migration leaves it there, since
    it never came from the source or something that did not is built on it.
    """

    identity: str
    what: str
    missing: bool = False
    surplus: bool = False
    meaning: bool = False
    stays: bool = False

    def __str__(self) -> str:
        return f"{self.identity}: {self.what}"


def differences(source: Catalog, target: Catalog) -> list[Difference]:
    """Every object that one side lacks or that is defined otherwise, in the source's words; empty for equal structures.

    Args:
        source: discovered with the target's schema names and version.
        target: discovered in the target, its schemas under their own names.
    """
    ours, theirs = by_identity(source), there(target)
    found: list[Difference] = []
    for key, item in ours.items():
        other = theirs.get(key)
        if other is None:
            if can_be_made(item, target):
                found.append(Difference(item.identity, "missing in the target", missing=True))
        elif item.kind == "table":
            found += _table(source, target, item, other)
        elif not is_same(source, target, item, other):
            found.append(_difference(item, other))
    verdicts = Surplus(source, target).verdicts
    surplus = (item for item in (*target.parts, *target.objects) if item.address in verdicts)
    return [
        *found,
        *(
            Difference(
                item.identity,
                "in the target only",
                surplus=True,
                stays=verdicts[item.address] is not Verdict.TAKEN_BACK,
            )
            for item in surplus
        ),
    ]


def _table(source: Catalog, target: Catalog, ours: SchemaObject, theirs: SchemaObject) -> Iterator[Difference]:
    """Columns first, by name. Defaults and checks are objects of their own here, and so no matter of CREATE TABLE."""
    pair = source.tables_by_name[ours.schema, ours.name], target.tables_by_name[theirs.schema, theirs.name]
    for text in (*table_differences(source, target, ours, theirs), *setting_differences(*pair)):
        yield Difference(ours.identity, text)
    if ours.lookups != theirs.lookups and not is_same(source, target, ours, theirs):
        yield _difference(ours, theirs)


def _difference(ours: SchemaObject, theirs: SchemaObject) -> Difference:
    if ours.lookups != theirs.lookups:
        return Difference(ours.identity, describe_lookups(ours.lookups, theirs.lookups), meaning=True)
    return Difference(ours.identity, _told_apart(ours, theirs))


def _told_apart(ours: SchemaObject, theirs: SchemaObject) -> str:
    return f"defined otherwise:\n    source: {'; '.join(ours.shown)}\n    target: {'; '.join(theirs.shown)}"
