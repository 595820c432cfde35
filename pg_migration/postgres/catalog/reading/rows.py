"""What the rows of the catalog queries are like: a type for each file in ``queries``, by the names of its columns.

A query has the same columns on every version of the server. To change one, change both. Where a column is NULL in rows
that it is never asked of (the columns of a check, the parents of a table without any), its type is that of the others.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, get_args, get_type_hints


class _Forgone(TypedDict, total=False):
    """What is put into a row after it was read: why the target can't have all of it."""

    forgone: list[str]


class _Addressed(TypedDict):
    """An object: its address as in pg_depend, and its name."""

    classid: int
    objid: int
    schema: str
    name: str


class _Object(_Addressed):
    """An object and the statements that make it, and drop it."""

    drop_statement: str
    statements: list[str]


class AccessMethodRow(_Object):
    """A row of ``queries/access_methods.sql``."""

    only_if_used: bool


class AggregateRow(_Object):
    """A row of ``queries/aggregates.sql``."""


class AvailableExtensionRow(TypedDict):
    """A row of ``queries/available_extensions.sql``."""

    name: str
    versions: list[str]
    creatable: bool


class BaseTypeRow(_Object):
    """A row of ``queries/base_types.sql``."""

    shell: str | None


class BroughtRow(TypedDict):
    """A row of ``queries/brought.sql``."""

    identity: str
    source_schema: str


class BroughtLargeObjectRow(TypedDict):
    """A row of ``queries/brought_large_objects.sql``."""

    oid: int


class CastRow(_Object):
    """A row of ``queries/casts.sql``."""


class CollationRow(_Object):
    """A row of ``queries/collations.sql``."""


class ColumnRow(TypedDict):
    """A row of ``queries/columns.sql``."""

    relation: int
    number: int
    name: str
    quoted: str
    type_oid: int
    type_modifier: int
    quoted_type: str
    base_type: str | None
    collation: str | None
    not_null: bool
    default_oid: int
    default: str | None
    identity: str
    generated: str
    is_local: bool
    storage: str
    stored_as_usual: bool
    compression: str | None
    statistics: int | None
    options: str | None
    foreign_options: str | None
    default_leans_on_objects: bool


class CommentRow(TypedDict):
    """A row of ``queries/comments.sql``."""

    classid: int
    objid: int
    objsubid: int
    name: str
    command: str
    comment: str


class CompositeRow(_Object):
    """A row of ``queries/composites.sql``."""

    head: str
    elements: list[str]


class ConstraintRow(TypedDict):
    """A row of ``queries/constraints.sql``."""

    oid: int
    relation: int
    name: str
    type: str
    definition: str
    index_definition: str | None
    valid: bool
    enforced: bool
    is_local: bool
    parent: int
    no_inherit: bool
    index: int
    index_name: str
    quoted_index: str
    index_options: list[str] | None
    clustered: bool | None
    replica_identity: bool | None
    index_valid: bool | None
    parent_index: str | None
    parent_constraint: int | None
    parent_index_oid: int | None
    columns: list[str]
    referenced: int
    referenced_columns: list[str]
    referenced_schema: str
    referenced_name: str
    leans_on_objects: bool


class ConversionRow(_Object):
    """A row of ``queries/conversions.sql``."""


class SaidOfDatabaseRow(TypedDict):
    """A row of ``queries/database.sql``."""

    what: str
    statement: str
    undo: str | None
    role: str | None
    parameter: str | None
    stays_because: str | None
    place: int


class DatabaseSettingRow(TypedDict):
    """A row of ``queries/database_settings.sql``."""

    name: str
    value: str


class DefaultPrivilegesRow(_Forgone):
    """A row of ``queries/default_privileges.sql``."""

    classid: int
    objid: int
    schema: str
    target_schema: str | None
    owner: str
    word: str
    held: list[list[str | None]]
    by_default: list[list[str | None]]
    only_if_used: bool


class DependencyRow(TypedDict):
    """A row of ``queries/dependencies.sql``."""

    classid: int
    objid: int
    objsubid: int
    refclassid: int
    refobjid: int
    refobjsubid: int
    deptype: str


class DomainConstraintRow(_Object):
    """A row of ``queries/domain_constraints.sql``."""

    after_data: bool


class DomainRow(_Object):
    """A row of ``queries/domains.sql``."""

    head: str
    elements: list[str]
    constraints: list[int]


class EnumRow(_Object):
    """A row of ``queries/enums.sql``."""

    head: str
    elements: list[str]


class EventTriggerRow(_Object):
    """A row of ``queries/event_triggers.sql``."""

    enabled: str
    only_if_used: bool


class ExtensionConfigurationRow(TypedDict):
    """A row of ``queries/extension_configurations.sql``."""

    extension: int
    extension_name: str
    relation: int
    schema: str
    name: str
    kind: str
    condition: str
    columns: list[str]
    key: list[str]
    referenced: list[int]
    triggers: list[list[str]]


class ExtensionConstraintRow(_Object):
    """A row of ``queries/extension_constraints.sql``."""

    type: str
    relation: int


class ExtensionDependencyRow(TypedDict):
    """A row of ``queries/extension_dependencies.sql``."""

    classid: int
    objid: int
    extension: int
    name: str
    command: str
    drop_statement: str


class ExtensionMemberRow(TypedDict):
    """A row of ``queries/extension_members.sql``."""

    classid: int
    objid: int
    extension: int
    extension_name: str
    extension_schema: str
    schema: str
    name: str | None


class ExtensionRow(_Object):
    """A row of ``queries/extensions.sql``."""

    version: str
    only_if_used: bool


class ForeignDataWrapperRow(_Object):
    """A row of ``queries/foreign_data_wrappers.sql``."""

    head: str
    elements: list[str]
    only_if_used: bool


class ForeignServerRow(_Object):
    """A row of ``queries/foreign_servers.sql``."""

    head: str
    elements: list[str]
    only_if_used: bool


class FunctionRow(_Object):
    """A row of ``queries/functions.sql``."""

    search_path_setting: str | None
    body: str | None


class IdentityRow(_Object):
    """A row of ``queries/identities.sql``."""

    relation: int
    column_name: str


class IdleQueryRow(TypedDict):
    """A row of ``queries/idle_queries.sql``."""

    query: str


class IndexRow(_Object):
    """A row of ``queries/indexes.sql``."""

    relation: int
    valid: bool
    relation_kind: str
    clustered: bool
    replica_identity: bool
    index_name: str
    quoted_relation: str
    quoted_index: str
    parent_index_oid: int
    parent_index: str | None


class InstalledExtensionRow(TypedDict):
    """A row of ``queries/installed_extensions.sql``."""

    name: str
    schema: str


class LanguageRow(_Object):
    """A row of ``queries/languages.sql``."""

    only_if_used: bool


class LookupsRow(TypedDict):
    """A row of ``queries/lookups.sql``."""

    classid: int
    objid: int
    objsubid: int
    operators: dict[str, Any]
    functions: list[str]
    trees: list[str]


class MaterializedViewRow(_Addressed):
    """A row of ``queries/materialized_views.sql``."""

    drop_statement: str
    definition: str
    alterations: list[str]
    compressions: list[list[str]]
    refresh: str | None


class NamingTableRow(TypedDict):
    """A row of ``queries/naming_tables.sql``."""

    relation: int


class OperatorClassRow(_Object):
    """A row of ``queries/operator_classes.sql``."""


class OperatorFamilyRow(_Object):
    """A row of ``queries/operator_families.sql``."""


class OperatorFamilyMemberRow(_Object):
    """A row of ``queries/operator_family_members.sql``."""


class OperatorRow(_Object):
    """A row of ``queries/operators.sql``."""


class OutsideRow(TypedDict):
    """A row of ``queries/outside.sql``."""

    kind: str
    name: str
    reason: str


class OwnerRow(_Forgone):
    """A row of ``queries/owners.sql``."""

    classid: int
    objid: int
    name: str
    role: str
    command: str


class ParameterRow(TypedDict):
    """A row of ``queries/parameters.sql``."""

    name: str


class PolicyRow(_Object):
    """A row of ``queries/policies.sql``."""

    relation: int
    roles: list[str]


class PrivilegesRow(_Forgone):
    """A row of ``queries/privileges.sql``."""

    classid: int
    objid: int
    objsubid: int
    word: str
    quoted_column: str | None
    quoted: str
    name: str
    stands_alone: bool
    owner: str
    options_on_relation: list[list[str]] | None
    held: list[list[str | None]]
    by_default: list[list[str | None]]


class PublicationRow(_Object):
    """A row of ``queries/publications.sql``."""

    head: str
    elements: list[str]
    only_if_used: bool


class PublicationSchemaRow(_Object):
    """A row of ``queries/publication_schemas.sql``."""


class PublicationTableRow(_Object):
    """A row of ``queries/publication_tables.sql``."""

    relation: int


class RangeRow(_Object):
    """A row of ``queries/ranges.sql``."""

    shell: str | None


class RememberedRow(TypedDict):
    """A row of ``queries/remembered.sql``."""

    identity: str
    source_digest: str
    target_digest: str


class RowSecurityRow(_Object):
    """A row of ``queries/row_security.sql``."""

    aspect: str
    relation: int


class RuleRow(_Object):
    """A row of ``queries/rules.sql``."""

    relation: int


class SchemaRow(_Addressed):
    """A row of ``queries/schemas.sql``."""

    statements: list[str]


class SecurityLabelRow(TypedDict):
    """A row of ``queries/security_labels.sql``."""

    classid: int
    objid: int
    objsubid: int
    provider: str
    name: str
    command: str
    label: str


class SequenceOwnerRow(_Object):
    """A row of ``queries/sequence_owners.sql``."""

    aspect: str
    relation: int
    column_name: str


class SequenceRow(_Object):
    """A row of ``queries/sequences.sql``."""


class ServerRow(TypedDict):
    """A row of ``queries/server.sql``."""

    compression_methods: list[str]
    remembers: bool
    knows_origins: bool
    knows_large_objects: bool
    role: str


class SetAsideRow(TypedDict):
    """A row of ``queries/set_aside.sql``."""

    name: str
    restore: str


class StatisticsRow(_Object):
    """A row of ``queries/statistics.sql``."""

    relation: int
    after_data: bool


class LargeObjectsRow(TypedDict):
    """A row of ``queries/large_objects.sql``."""

    objects: int
    referred_elsewhere: bool


class SubscriptionRow(_Object):
    """A row of ``queries/subscriptions.sql``."""

    owner: str
    only_if_used: bool


class ListedTableRow(TypedDict):
    """A row of ``queries/table_listing.sql``."""

    schema: str
    name: str
    kind: str
    comment: str | None
    columns: list[list[str]]
    references: list[list[str]]


class TableRow(TypedDict):
    """A row of ``queries/tables.sql``."""

    oid: int
    schema: str
    name: str
    quoted: str
    kind: str
    persistence: str
    is_partition: bool
    reltuples: float
    pages: int
    bytes: int
    comment: str | None
    replica_identity: str
    options: list[str] | None
    toast_options: list[str] | None
    access_method: str | None
    of_type: str | None
    partition_key: str | None
    partition_bound: str | None
    parents: list[int]
    quoted_parents: list[str]
    leaves: list[list[str]] | None
    hashes_differ: bool
    server: str | None
    foreign_options: list[str]
    readable: bool


class TextSearchConfigurationRow(_Object):
    """A row of ``queries/text_search_configurations.sql``."""


class TextSearchDictionaryRow(_Object):
    """A row of ``queries/text_search_dictionaries.sql``."""


class TextSearchParserRow(_Object):
    """A row of ``queries/text_search_parsers.sql``."""


class TextSearchTemplateRow(_Object):
    """A row of ``queries/text_search_templates.sql``."""


class TransformRow(_Object):
    """A row of ``queries/transforms.sql``."""

    only_if_used: bool


class TriggerRow(_Object):
    """A row of ``queries/triggers.sql``."""

    relation: int


class TypeNameRow(TypedDict):
    """A row of ``queries/type_names.sql``."""

    type_oid: int
    type_modifier: int
    name: str


class UserMappingRow(TypedDict):
    """A row of ``queries/user_mappings.sql``."""

    classid: int
    objid: int
    server: int
    name: str
    drop_statement: str
    head: str
    elements: list[str]
    statements: list[str]
    roles: list[str]
    readable: bool


class ViewDefaultRow(_Object):
    """A row of ``queries/view_defaults.sql``."""

    relation: int


class ViewRow(_Object):
    """A row of ``queries/views.sql``."""

    shell: str


class Rows(TypedDict):
    """The rows of the queries that discovery reads, by the names of their files."""

    access_methods: Sequence[AccessMethodRow]
    aggregates: Sequence[AggregateRow]
    base_types: Sequence[BaseTypeRow]
    brought: Sequence[BroughtRow]
    brought_large_objects: Sequence[BroughtLargeObjectRow]
    casts: Sequence[CastRow]
    collations: Sequence[CollationRow]
    columns: Sequence[ColumnRow]
    comments: Sequence[CommentRow]
    composites: Sequence[CompositeRow]
    constraints: Sequence[ConstraintRow]
    conversions: Sequence[ConversionRow]
    database_settings: Sequence[DatabaseSettingRow]
    default_privileges: Sequence[DefaultPrivilegesRow]
    dependencies: Sequence[DependencyRow]
    domain_constraints: Sequence[DomainConstraintRow]
    domains: Sequence[DomainRow]
    enums: Sequence[EnumRow]
    event_triggers: Sequence[EventTriggerRow]
    extension_configurations: Sequence[ExtensionConfigurationRow]
    extension_constraints: Sequence[ExtensionConstraintRow]
    extension_dependencies: Sequence[ExtensionDependencyRow]
    extension_members: Sequence[ExtensionMemberRow]
    extensions: Sequence[ExtensionRow]
    foreign_data_wrappers: Sequence[ForeignDataWrapperRow]
    foreign_servers: Sequence[ForeignServerRow]
    functions: Sequence[FunctionRow]
    identities: Sequence[IdentityRow]
    indexes: Sequence[IndexRow]
    languages: Sequence[LanguageRow]
    large_objects: Sequence[LargeObjectsRow]
    materialized_views: Sequence[MaterializedViewRow]
    naming_tables: Sequence[NamingTableRow]
    operator_classes: Sequence[OperatorClassRow]
    operator_families: Sequence[OperatorFamilyRow]
    operator_family_members: Sequence[OperatorFamilyMemberRow]
    operators: Sequence[OperatorRow]
    outside: Sequence[OutsideRow]
    owners: Sequence[OwnerRow]
    policies: Sequence[PolicyRow]
    privileges: Sequence[PrivilegesRow]
    publication_schemas: Sequence[PublicationSchemaRow]
    publication_tables: Sequence[PublicationTableRow]
    publications: Sequence[PublicationRow]
    ranges: Sequence[RangeRow]
    remembered: Sequence[RememberedRow]
    row_security: Sequence[RowSecurityRow]
    rules: Sequence[RuleRow]
    schemas: Sequence[SchemaRow]
    security_labels: Sequence[SecurityLabelRow]
    sequence_owners: Sequence[SequenceOwnerRow]
    sequences: Sequence[SequenceRow]
    server: Sequence[ServerRow]
    set_aside: Sequence[SetAsideRow]
    statistics: Sequence[StatisticsRow]
    subscriptions: Sequence[SubscriptionRow]
    tables: Sequence[TableRow]
    text_search_configurations: Sequence[TextSearchConfigurationRow]
    text_search_dictionaries: Sequence[TextSearchDictionaryRow]
    text_search_parsers: Sequence[TextSearchParserRow]
    text_search_templates: Sequence[TextSearchTemplateRow]
    transforms: Sequence[TransformRow]
    triggers: Sequence[TriggerRow]
    user_mappings: Sequence[UserMappingRow]
    view_defaults: Sequence[ViewDefaultRow]
    views: Sequence[ViewRow]


ROW_TYPES: Mapping[str, Any] = {
    **{name: get_args(sequence)[0] for name, sequence in get_type_hints(Rows).items()},
    "database": SaidOfDatabaseRow,
    "available_extensions": AvailableExtensionRow,
    "idle_queries": IdleQueryRow,
    "installed_extensions": InstalledExtensionRow,
    "lookups": LookupsRow,
    "parameters": ParameterRow,
    "table_listing": ListedTableRow,
    "type_names": TypeNameRow,
}
"""The type of the rows of each query."""
