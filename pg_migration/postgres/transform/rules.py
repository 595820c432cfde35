"""Which column gets which mask, and whether it may: what can be told of the structure alone."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Catalog, Table, TableName
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.sql_files import sql_file
from pg_migration.postgres.transform.document import Document
from pg_migration.postgres.transform.masks import (
    KEYED,
    OF_KEYS,
    Mask,
    MaskedColumn,
    permuted_bits,
    problem_of,
)
from pg_migration.postgres.transform.names import ColumnName, Names, label, united


@dataclass(frozen=True)
class ColumnFacts:
    """What a column of the source is, and what it is part of."""

    column: MaskedColumn
    not_null: bool
    deterministic: bool
    generated: str
    computed: str | None
    in_partition_key: bool
    in_unique_key: bool
    in_exclusion: bool


Facts = Mapping[ColumnName, ColumnFacts]


@dataclass(frozen=True)
class Chosen:
    """The mask of a column, and whose values get the same ones. ``derived``: nobody asked for it on this column."""

    mask: Mask
    domain: str
    derived: bool


Masks = Mapping[TableName, Mapping[str, Chosen]]


def references_of(document: Document, names: Names) -> Sequence[tuple[ColumnName, ColumnName]]:
    """The references that nobody declared.

    Raises:
        ConfigurationError: one names no column.
    """
    if document.subset is None:
        return ()
    place = "subset.references"
    return [(names.column(one, place), names.column(other, place)) for one, other in document.subset.references]


def chosen_masks(document: Document, catalog: Catalog, names: Names) -> Masks:
    """The masks of all tables: what was asked for, also of tables below, and the other ends of foreign keys.

    Raises:
        ConfigurationError: a name is not known, or the ends of a foreign key have different masks.
    """
    asked: dict[ColumnName, Mask] = {}
    inherited: dict[ColumnName, Mask] = {}
    for text, rules in document.tables.items():
        table = names.table(text, "tables")
        known = {column.name for column in table.columns}
        if unknown := sorted(set(rules.masks) - known):
            raise ConfigurationError(f"tables.{text}.mask: the table has no column {', '.join(unknown)}")
        for column, mask in rules.masks.items():
            asked[table.key, column] = mask
            inherited |= {(below.key, column): mask for below in names.below(table)}
    keys = [
        ((key.table, own), (key.referenced, other))
        for key in catalog.foreign_keys
        for own, other in zip(key.columns, key.referenced_columns, strict=True)
        if key.referenced in names.tables
    ]
    keys += references_of(document, names)
    of_trees = [
        ((table.key, column.name), (below.key, column.name))
        for table in catalog.tables
        for below in names.below(table)
        for column in table.columns
    ]
    everything = {**inherited, **asked}
    groups = united([*keys, *of_trees])
    parents = {table.key: table.parents for table in catalog.tables}
    found: dict[TableName, dict[str, Chosen]] = {}
    for group in {groups.get(column, frozenset([column])) for column in everything}:
        masks = {column: everything[column] for column in group if column in everything}
        for (name, column), chosen in _within(group, masks, keys, parents).items():
            found.setdefault(name, {})[column] = chosen
    return found


def _within(
    group: frozenset[ColumnName],
    masks: Mapping[ColumnName, Mask],
    keys: Sequence[tuple[ColumnName, ColumnName]],
    parents: Mapping[TableName, Collection[TableName]],
) -> Mapping[ColumnName, Chosen]:
    """The masks of columns that are connected.

    Their domain is called as one that its table has of its own: partitions come and go, and have no say in it.
    """
    tables = {table for table, _ in group}
    domain = min(label(column) for column in group if tables.isdisjoint(parents[column[0]]))
    ends = {end for pair in keys for end in pair if end in group}
    if not ends:  # parents and what inherits from them: each as it was said
        return {column: Chosen(mask, domain, False) for column, mask in masks.items()}
    different = {repr(mask): column for column, mask in masks.items()}
    if len(different) > 1:
        told = " and ".join(f"{label(column)} has {masks[column]}" for column in sorted(different.values()))
        raise ConfigurationError(f"tables: foreign keys connect columns with different masks: {told}")
    mask = next(iter(masks.values()))
    return {column: Chosen(mask, domain, column not in masks) for column in group}


def read_facts(connection: Connection, tables: Sequence[Table]) -> Facts:
    """What the source says of the columns of some tables."""
    names = {table.oid: table.key for table in tables}
    rows = fetch(connection, sql_file("transform/columns.sql"), {"tables": list(names)})
    return {
        (names[relation], name): ColumnFacts(MaskedColumn(name, type_name, base, length), *rest)
        for relation, name, type_name, base, length, *rest in rows
    }


def with_bits(masks: Masks, facts: Facts) -> Facts:
    """The same, with the bits of the narrowest column of its domain for each that is permuted."""
    least: dict[str, int] = {}
    for table, columns in masks.items():
        for name, chosen in columns.items():
            if chosen.mask.kind == "permute" and (bits := permuted_bits(facts[table, name].column.base)):
                least[chosen.domain] = min(bits, least.get(chosen.domain, bits))
    found = dict(facts)
    for table, columns in masks.items():
        for name, chosen in columns.items():
            known = facts[table, name]
            found[table, name] = replace(known, column=replace(known.column, bits=least.get(chosen.domain, 0)))
    return found


def problems(masks: Masks, facts: Facts, catalog: Catalog, names: Names, has_key: bool) -> Iterator[str]:
    """What of the masks can't be done, as far as the structure tells."""
    of_keys = {
        (table, column)
        for key in catalog.foreign_keys
        for table, columns in ((key.table, key.columns), (key.referenced, key.referenced_columns))
        for column in columns
    }
    cutting = {
        (table.key, name)
        for top in catalog.tables
        for table in (top, *names.below(top))
        for name in (column.name for column in top.columns)
        if facts.get((top.key, name)) is not None and facts[top.key, name].in_partition_key
    }
    bases: dict[str, set[str]] = {}
    for table, columns in masks.items():
        for name, chosen in columns.items():
            place, known, mask = (table, name), facts[table, name], chosen.mask
            told = f"{label(place)}, mask {mask}"
            if chosen.derived:
                told += " (as at the other end of a foreign key)"
            if known.generated:
                yield f"{told}: the column is generated; what it is computed from can be masked"
            elif place in cutting:
                yield f"{told}: partitions are chosen by this column, so it can't be masked"
            elif (problem := problem_of(mask, known.column)) is not None:
                yield f"{told}: {problem}"
            elif known.in_exclusion:
                yield f"{told}: an exclusion constraint compares this column, so it can't be masked"
            elif (place in of_keys or known.in_unique_key) and mask.kind not in OF_KEYS:
                yield (
                    f"{told}: the column is part of a key. Such a column takes only {', '.join(sorted(OF_KEYS))}, "
                    f"which keep different values different"
                )
            elif known.not_null and mask.kind == "null":
                yield f"{told}: the column is NOT NULL"
            elif mask.kind in OF_KEYS and not known.deterministic and (place in of_keys or known.in_unique_key):
                yield f"{told}: its collation takes different texts for equal, which get different masks"
            elif mask.kind in KEYED and not has_key:
                yield f"{told}: needs a key; say key: env:NAME"
            bases.setdefault(f"{chosen.domain}\0{mask}", set()).add(_family(known.column.base))
    for domain, found in bases.items():
        if len(found) > 1:
            yield (
                f"{domain.partition(chr(0))[0]}: columns that are connected to it have other types, whose equal values "
                f"get different masks: {', '.join(sorted(found))}"
            )


def _family(base: str) -> str:
    """Types whose equal values are masked alike."""
    if base in ("int2", "int4", "int8"):
        return "whole numbers"
    return "texts" if base in ("text", "varchar", "bpchar") else base
