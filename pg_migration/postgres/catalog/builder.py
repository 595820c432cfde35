"""Turn catalog rows and the ordered drafts into a `Catalog`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from pg_migration.postgres.catalog.draft import PG_CLASS, PG_CONSTRAINT, PG_EXTENSION, Draft
from pg_migration.postgres.catalog.model import (
    Address,
    Catalog,
    Column,
    ConfigurationTable,
    ForeignKey,
    Notice,
    Phase,
    SchemaObject,
    Table,
    TableName,
)
from pg_migration.postgres.catalog.model import Sequence as SequenceModel
from pg_migration.postgres.catalog.objects.table_constraints import is_late_not_null
from pg_migration.postgres.catalog.objects.table_rows import FOREIGN_KEY, PRIMARY_KEY, TableRows
from pg_migration.postgres.catalog.objects.tables import not_null_declaration
from pg_migration.postgres.catalog.ordering.dependencies import Assembly, assign_phases, in_order
from pg_migration.postgres.catalog.ordering.graph import reachable
from pg_migration.postgres.catalog.patterns import is_excluded
from pg_migration.postgres.catalog.reading.rows import ColumnRow, ExtensionConfigurationRow, Rows, TableRow
from pg_migration.postgres.catalog.schema_renaming import Renaming, search_path_clause


def configuration_table(row: ExtensionConfigurationRow) -> ConfigurationTable:
    return ConfigurationTable(
        extension=row["extension_name"],
        oid=row["relation"],
        schema=row["schema"],
        name=row["name"],
        kind=row["kind"],
        condition=row["condition"],
        columns=tuple(row["columns"]),
        key_columns=tuple(row["key"]),
        referenced=tuple(row["referenced"]),
        triggers=tuple((name, mode) for name, mode in row["triggers"]),
    )


def _is_view(draft: Draft) -> bool:
    return draft.kind in ("view", "materialized view")


def _options(options: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Names and values of options as the catalogs keep them."""
    pairs = (option.partition("=") for option in options if option)
    return tuple((name, value) for name, _, value in pairs)


_WITH_INDEX = frozenset({"index", "primary key", "unique", "exclusion", "statistics"})
_RUNNING = frozenset(
    {"function", "aggregate", "operator", "cast", "domain", "domain constraint", "type", "view", "materialized view"}
)
_DROP_FUNCTION = "DROP FUNCTION IF EXISTS "


@dataclass(frozen=True)
class Finisher:
    """Turns rows and the ordered drafts into the catalog's words."""

    version: int
    schemas: Mapping[str, str]
    rows: Rows
    tables: TableRows
    type_names: Mapping[tuple[int, int], str]
    assembly: Assembly
    rename: Renaming
    exclude: Sequence[str]

    def catalog(
        self,
        notices: Sequence[Notice],
        idle_patterns: tuple[str, ...],
        unused: Sequence[Draft],
        excluded: Sequence[Draft],
    ) -> Catalog:
        rename = self.rename
        views = {draft.address.objid: (draft.schema, draft.name) for draft in excluded if _is_view(draft)}
        phases = assign_phases(self.assembly)
        drafts = [self.assembly.drafts[address] for address in in_order(self.assembly, phases)]
        edges = self.assembly.edges
        return Catalog(
            version=self.version,
            schemas=dict(self.schemas),
            tables=tuple(self._table(row, rename) for row in self.tables.tables.values() if self._has_rows(row)),
            sequences=tuple(self._sequences()),
            foreign_keys=tuple(self._foreign_keys()),
            objects=tuple(
                self._object(draft, phases[draft.address], frozenset(edges[draft.address]), rename) for draft in drafts
            ),
            parts=tuple(
                self._object(part, phases[draft.address], frozenset({draft.address}), rename)
                for draft in drafts
                for part in draft.parts
            ),
            unused=tuple(self._object(draft, draft.phase, frozenset(), rename) for draft in unused),
            notices=tuple(notices),
            unmatched_patterns=idle_patterns,
            configurations=tuple(
                configuration_table(row)
                for row in self.rows["extension_configurations"]
                if Address(PG_EXTENSION, row["extension"]) in self.assembly.drafts
                and not is_excluded(row["schema"], row["name"], self.exclude)
            ),
            roles=tuple(sorted({role for draft in self.assembly.drafts.values() for role in draft.roles})),
            settings=tuple((row["name"], row["value"]) for row in self.rows["database_settings"]),
            role=self.rows["server"][0]["role"],
            compression_methods=frozenset(self.rows["server"][0]["compression_methods"] or ()),
            remembered={
                row["identity"]: (row["source_digest"], row["target_digest"]) for row in self.rows["remembered"]
            },
            brought={row["identity"]: row["source_schema"] for row in self.rows["brought"]},
            excluded=tuple(
                self._object(item, draft.phase, frozenset(), rename, views)
                for draft in excluded
                for item in (draft, *draft.parts)
            ),
            needed_outside=frozenset(self.assembly.needed_outside),
            has_brought_large_objects=bool(self.rows["brought_large_objects"]),
        )

    def _object(
        self,
        draft: Draft,
        phase: Phase,
        needed: frozenset[Address],
        rename: Renaming,
        views: Mapping[int, TableName] = MappingProxyType({}),
    ) -> SchemaObject:
        return SchemaObject(
            address=draft.address,
            kind=draft.kind,
            schema=draft.schema,
            name=rename(draft.name),
            table=views.get(draft.relation) or self._relation(draft),
            phase=phase,
            statements=tuple(self._statement(draft, text) for text in draft.statements),
            drop=rename(draft.drop),
            search_path=self.schemas.get(draft.schema, ""),
            depends_on=needed,
            replaceable=draft.replaceable,
            parallel=tuple(rename(text) for text in draft.parallel),
            calls=self._calls(draft),
            lookups=frozenset(
                found._replace(name=rename(found.name)) for found in self.assembly.lookups.get(draft.address, ())
            ),
            becomes=draft.becomes,
            head=rename(draft.head),
            elements=tuple(rename(text) for text in draft.elements),
        )

    def _calls(self, draft: Draft) -> tuple[str, ...]:
        """Functions that run when an index is built or a materialized view filled.

        The planner looks into the functions behind every index of a table that it is to read.
        """
        if draft.kind in _WITH_INDEX:
            found = set(self._called_by_indexes.get(draft.relation, ()))
        elif draft.kind == "materialized view rows":
            # What was left out has no edges, and is never filled.
            needed = self.assembly.edges.get(draft.address, set())
            read = reachable(self._run_through.keys() & needed, self._run_through)
            tables = {address.objid for view in read for address in self.assembly.edges[view]}
            found = read.union(*(self._called_by_indexes.get(table, ()) for table in tables))
        else:
            return ()
        functions = (self.assembly.drafts[address] for address in sorted(found))
        return tuple(
            self.rename(function.drop.removeprefix(_DROP_FUNCTION))
            for function in functions
            if function.drop.startswith(_DROP_FUNCTION) and not function.search_path_setting
        )

    @cached_property
    def _called_by_indexes(self) -> Mapping[int, frozenset[Address]]:
        """By the OID of a table or materialized view, what runs behind its indexes and statistics."""
        found: dict[int, frozenset[Address]] = {}
        for address, draft in self.assembly.drafts.items():
            if draft.kind in _WITH_INDEX and (direct := self._run_through.keys() & self.assembly.edges[address]):
                behind = found.get(draft.relation, frozenset())
                found[draft.relation] = behind | reachable(direct, self._run_through)
        return found

    @cached_property
    def _run_through(self) -> Mapping[Address, set[Address]]:
        """What runs, and what runs with it: a domain's constraints depend on the domain, not the other way round."""
        drafts = self.assembly.drafts
        running = {address for address, draft in drafts.items() if draft.kind in _RUNNING}
        found = {address: self.assembly.edges[address] & running for address in running}
        for address in running:
            if drafts[address].kind == "domain constraint":
                for domain in found[address]:
                    if drafts[domain].kind == "domain":
                        found[domain] = found[domain] | {address}
        return found

    def _relation(self, draft: Draft) -> TableName | None:
        """The table or view that an object belongs to; two views may have rules or triggers of one name."""
        if table := self.tables.tables.get(draft.relation):
            return table["schema"], table["name"]
        view = self.assembly.drafts.get(Address(PG_CLASS, draft.relation))
        return (view.schema, view.name) if view else self._members.get(draft.relation)

    @cached_property
    def _members(self) -> Mapping[int, TableName]:
        """Tables and views of extensions in the migrated schemas."""
        return {
            row["objid"]: (row["schema"], row["name"])
            for row in self.rows["extension_members"]
            if row["classid"] == PG_CLASS and row["schema"] in self.schemas and row["name"] is not None
        }

    def _statement(self, draft: Draft, text: str) -> str:
        """A statement under the schemas' new names, those in a function's own search_path included."""
        if draft.search_path_setting:
            old, new = (search_path_clause(draft.search_path_setting, names) for names in ({}, self.schemas))
            text = text.replace(old, new, 1)
        return self.rename(text, draft.aliases.get(text, ()))

    def _kept(self, table: TableRow) -> bool:
        return Address(PG_CLASS, table["oid"]) in self.assembly.drafts

    def _has_rows(self, table: TableRow) -> bool:
        return self._kept(table) and table["server"] is None

    def _table(self, row: TableRow, rename: Renaming) -> Table:
        keys = self.tables.constraints_of(row, PRIMARY_KEY)
        ancestors = self._ancestors(row)
        root = ancestors[-1] if ancestors else None
        through_root = any(ancestor["hashes_differ"] for ancestor in ancestors)
        return Table(
            oid=row["oid"],
            schema=row["schema"],
            name=row["name"],
            kind=row["kind"],
            persistence=row["persistence"],
            columns=tuple(self._column(row, column, rename) for column in self.tables.columns_of(row)),
            primary_key=tuple(keys[0]["columns"]) if keys else (),
            is_partition=row["is_partition"],
            root=(root["schema"], root["name"]) if root else None,
            parents=tuple(self._names(row["parents"] or ())),
            through_root=through_root,
            reltuples=row["reltuples"],
            pages=row["pages"],
            bytes=row["bytes"],
            partition_key=rename.optional(row["partition_key"]),
            partition_bound=rename.optional(row["partition_bound"]),
            comment=row["comment"],
            left_out=self._left_out(root if through_root and root else row),
            names_objects=row["oid"] in self._naming_tables,
            options=_options([*(row["options"] or ()), *(row["toast_options"] or ())]),
            access_method=row["access_method"],
            of_type=rename.optional(row["of_type"]),
            inherits=() if row["is_partition"] else tuple(rename(name) for name in row["quoted_parents"] or ()),
            replica_identity=row["replica_identity"],
            foreign_below=row["oid"] in self._above_foreign,
            leans_outside=any(Address(PG_CLASS, row["oid"]) in users for users in self.assembly.outside.values()),
        )

    def _left_out(self, row: TableRow) -> tuple[TableName, ...]:
        """The partitions below a partitioned table that are not migrated."""
        leaves = {(schema, name) for schema, name in row["leaves"] or ()}
        return tuple(sorted(leaves - self._kept_names)) if leaves else ()

    @cached_property
    def _above_foreign(self) -> frozenset[int]:
        """Every table above a foreign one."""
        parents = {oid: row["parents"] or () for oid, row in self.tables.tables.items()}
        foreign = [oid for oid, row in self.tables.tables.items() if row["server"] is not None]
        return frozenset(reachable((parent for oid in foreign for parent in parents[oid]), parents))

    @cached_property
    def _naming_tables(self) -> frozenset[int]:
        return frozenset(row["relation"] for row in self.rows["naming_tables"])

    @cached_property
    def _kept_names(self) -> frozenset[TableName]:
        return frozenset((row["schema"], row["name"]) for row in self.tables.tables.values() if self._has_rows(row))

    def _names(self, oids: Sequence[int]) -> list[TableName]:
        """The names of parents, without foreign tables."""
        known = (row for oid in oids if (row := self.tables.tables.get(oid)))
        return [(row["schema"], row["name"]) for row in known if row["server"] is None]

    def _ancestors(self, row: TableRow) -> list[TableRow]:
        """The partitioned tables above a partition, the topmost last."""
        found: list[TableRow] = []
        while row["is_partition"] and (parent := self.tables.tables.get(row["parents"][0])) and self._kept(parent):
            found.append(parent)
            row = parent
        return found

    def _column(self, table: TableRow, row: ColumnRow, rename: Renaming) -> Column:
        constraint = self.tables.not_null_constraint(table, row)
        return Column(
            name=row["name"],
            number=row["number"],
            type=self.type_names[row["type_oid"], row["type_modifier"]],
            ddl_type=rename(row["quoted_type"]),
            type_oid=row["type_oid"],
            base_type=row["base_type"],
            collation=rename.optional(row["collation"]),
            not_null=row["not_null"],
            default=rename.optional(row["default"]),
            identity=row["identity"],
            generated=row["generated"],
            is_local=row["is_local"],
            not_null_constraint=None if constraint is None else not_null_declaration(constraint),
            not_null_comes_later=is_late_not_null(self.tables, table, row),
            storage=row["storage"],
            statistics=-1 if row["statistics"] is None else row["statistics"],
            options=_options((row["options"] or "").split(", ")),
        )

    def _sequences(self) -> list[SequenceModel]:
        owners: dict[int, tuple[str, str, str]] = {}
        for row in (*self.rows["sequence_owners"], *self.rows["identities"]):
            table = self.tables.tables.get(row["relation"])
            if table is not None and self._kept(table):
                owners[row["objid"]] = (table["schema"], table["name"], row["column_name"])
        return [
            SequenceModel(row["objid"], row["schema"], row["name"], owners.get(row["objid"]), identity)
            for identity, rows in ((False, self.rows["sequences"]), (True, self.rows["identities"]))
            for row in rows
            if Address(PG_CLASS, row["objid"]) in self.assembly.drafts
        ]

    def _foreign_keys(self) -> list[ForeignKey]:
        return [
            ForeignKey(
                schema=table["schema"],
                name=row["name"],
                table=(table["schema"], table["name"]),
                columns=tuple(row["columns"]),
                referenced=(row["referenced_schema"], row["referenced_name"]),
                referenced_columns=tuple(row["referenced_columns"]),
                valid=row["valid"],
                address=address,
            )
            for table in self.tables.tables.values()
            for row in self.tables.constraints_of(table, FOREIGN_KEY)
            if (address := Address(PG_CONSTRAINT, row["oid"])) in self.assembly.drafts
        ]
