"""Which asset stands for which relation: names in the source, in the target, and in Dagster."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import dagster as dg

from pg_migration.orchestration.location.code_location import Location
from pg_migration.orchestration.location.names import (
    TARGET_DDL,
    asset_keys,
    foreign_keys_key,
    own_key,
    partitions_definition,
    schema_group,
)
from pg_migration.orchestration.location.translation import translated
from pg_migration.orchestration.pair import Pair
from pg_migration.postgres.catalog import TableListing, TableName
from pg_migration.postgres.connection.literals import readable


@dataclass(frozen=True)
class Relations:
    """The tables of a code location by asset key. Table names here are the target's."""

    location: Location

    @property
    def pair(self) -> Pair:
        """The pair of databases."""
        return self.location.pair

    def key(self, name: str) -> dg.AssetKey:
        """One of the assets that every migration has."""
        return own_key(self.pair, name)

    def partitions(self, table: TableName) -> dg.DynamicPartitionsDefinition:
        """The key ranges of a table."""
        return partitions_definition(self.pair, table)

    def target_name(self, listing: TableListing) -> TableName:
        """Schema and name in the target."""
        return self.location.schemas[listing.schema], listing.name

    @cached_property
    def listings(self) -> Mapping[TableName, TableListing]:
        """What is known of each table."""
        return {self.target_name(listing): listing for listing in self.location.tables}

    @cached_property
    def keys(self) -> Mapping[TableName, dg.AssetKey]:
        """The key of each table's asset."""
        return {name: spec.key for name, spec in self.table_specs.items()}

    @cached_property
    def tables_by_key(self) -> Mapping[dg.AssetKey, TableName]:
        """The table of each asset."""
        return {key: table for table, key in self.keys.items()}

    @cached_property
    def foreign_keys(self) -> Mapping[dg.AssetKey, str]:
        """The assets of foreign keys: the target schema of each."""
        schemas = dict.fromkeys(name[0] for name, listing in self.listings.items() if listing.references)
        return {foreign_keys_key(self.pair, schema, self.keys.values()): schema for schema in schemas}

    def names(self, keys: Iterable[dg.AssetKey]) -> list[TableName]:
        """The tables of some assets."""
        return [self.tables_by_key[key] for key in keys]

    def references(self, listing: TableListing) -> list[TableName]:
        """The migrated tables, other than itself, that a table's foreign keys point to."""
        own = self.target_name(listing)
        targets = {(self.location.schemas[s], t) for s, t in listing.references if s in self.location.schemas}
        return sorted(name for name in targets - {own} if name in self.listings)

    @cached_property
    def table_specs(self) -> Mapping[TableName, dg.AssetSpec]:
        """One asset for each table, partitioned by its key ranges.

        Raises:
            PairRefused: the translation can't be used.
        """
        keys = asset_keys(self.pair, self.listings)
        specs = {name: self._table_spec(keys[name], name, listing) for name, listing in self.listings.items()}
        if self.pair.translation is None:
            return specs
        tables = {name: replace(listing, schema=name[0]) for name, listing in self.listings.items()}
        return translated(self.pair, tables, specs, self.pair.translation)

    def foreign_key_specs(self) -> list[dg.AssetSpec]:
        """One asset for each schema that has foreign keys, downstream of all tables that they connect."""
        return [self._foreign_keys_spec(key, schema) for key, schema in self.foreign_keys.items()]

    def every_table(self) -> list[dg.AssetDep]:
        """Dependencies on all ranges of all tables."""
        return [_all_ranges(key) for key in self.keys.values()]

    def _table_spec(self, key: dg.AssetKey, name: TableName, listing: TableListing) -> dg.AssetSpec:
        # The list of assets shows the beginning of this as it is, so there is no markdown in it.
        origin, destination = f"{listing.schema}.{listing.name}", ".".join(name)
        what = "partitioned table (its rows are in its partitions)" if listing.kind == "p" else "table"
        copied = "" if origin == destination else f", copied into {destination}"
        comment = (listing.comment or "").strip()
        description = f"{comment}{'' if comment[-1] in '.!?:' else '.'}\n\n" if comment else ""
        return dg.AssetSpec(
            key,
            deps=[self.key(TARGET_DDL)],
            partitions_def=self.partitions(name),
            description=readable(f"{description}Rows of {what} {origin}{copied}."),
            kinds={"postgres", "table"},
            group_name=schema_group(self.pair, name[0]),
            skippable=True,
            metadata={
                "dagster/table_name": readable(".".join(name)),
                "source_table": readable(origin),
                "dagster/column_schema": dg.TableSchema(
                    columns=[
                        dg.TableColumn(
                            readable(c.name),
                            readable(c.type),
                            constraints=dg.TableColumnConstraints(nullable=not c.not_null),
                        )
                        for c in listing.columns
                    ]
                ),
            },
        )

    def _foreign_keys_spec(self, key: dg.AssetKey, schema: str) -> dg.AssetSpec:
        having = [(n, listing) for n, listing in self.listings.items() if n[0] == schema and listing.references]
        connected = dict.fromkeys(table for name, listing in having for table in (name, *self.references(listing)))
        return dg.AssetSpec(
            key,
            deps=[_all_ranges(self.keys[table]) for table in connected],
            description=readable(
                f"Foreign keys of {len(having):,} tables of schema {schema}, created once the tables that they connect "
                f"are complete."
            ),
            kinds={"postgres"},
            group_name=schema_group(self.pair, schema),
            skippable=True,
        )


def _all_ranges(key: dg.AssetKey) -> dg.AssetDep:
    return dg.AssetDep(key, partition_mapping=dg.AllPartitionMapping())
