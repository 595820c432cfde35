"""The kinds of objects that one query describes completely, in the order that breaks ties.

To add a kind: write ``queries/<kind>.sql`` with the columns classid, objid, schema, name, statements and, where they
apply, objsubid, aspect, relation, drop_statement, after_data; then name it in ``KINDS``.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pg_migration.postgres.catalog.draft import (
    CONSTRAINT_KINDS,
    PG_CLASS,
    PG_CONSTRAINT,
    PG_DATABASE,
    PG_EXTENSION,
    PG_FOREIGN_SERVER,
    Draft,
)
from pg_migration.postgres.catalog.model import MATERIALIZED_ROWS, Address, Phase
from pg_migration.postgres.catalog.objects.index_marks import attachment, marks
from pg_migration.postgres.catalog.objects.privileges import (
    default_privilege_statements,
    grantors_of,
    privilege_statements,
    revocation,
    roles_of,
)
from pg_migration.postgres.catalog.reading.catalog_session import Row
from pg_migration.postgres.catalog.reading.rows import (
    CommentRow,
    DefaultPrivilegesRow,
    DomainRow,
    EventTriggerRow,
    ExtensionConstraintRow,
    ExtensionDependencyRow,
    FunctionRow,
    IndexRow,
    MaterializedViewRow,
    OwnerRow,
    PrivilegesRow,
    SaidOfDatabaseRow,
    SecurityLabelRow,
    SequenceOwnerRow,
    SubscriptionRow,
    UserMappingRow,
)
from pg_migration.postgres.catalog.schema_renaming import quote

# By pg_event_trigger.evtenabled.
EVENT_TRIGGER_STATES = {"O": "ENABLE", "D": "DISABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA"}

LABEL_OF_DATABASE = "security label of "

Builder = Callable[["Kind", Any], Iterator[Draft]]
"""Makes drafts of a row of the kind's query."""


def draft(kind: "Kind", row: Row) -> Draft:
    """The draft that a row of a kind's query stands for."""
    return Draft(
        address=Address(row["classid"], row["objid"], row.get("objsubid") or 0, row.get("aspect") or ""),
        kind=kind.name,
        schema=row["schema"],
        name=row["name"],
        phase=Phase.POST_DATA if row.get("after_data") else kind.phase,
        statements=tuple(row.get("statements") or ()),
        drop=row.get("drop_statement") or "",
        relation=row.get("relation") or 0,
        replaceable=kind.replaceable,
        shell=row.get("shell") or "",
        head=row.get("head") or "",
        elements=tuple(row.get("elements") or ()),
        only_if_used=bool(row.get("only_if_used")),
        roles=frozenset(row.get("roles") or ()),
    )


def one_object(kind: "Kind", row: Row) -> Iterator[Draft]:
    """The usual case: a row is an object."""
    yield draft(kind, row)


def domain(kind: "Kind", row: DomainRow) -> Iterator[Draft]:
    """A domain with the constraints that its own statement makes."""
    made = draft(kind, row)
    made.catalog_rows |= {Address(PG_CONSTRAINT, oid) for oid in row["constraints"]}
    yield made


def index(kind: "Kind", row: IndexRow) -> Iterator[Draft]:
    """An index with its marks, and what attaches it to the index of a partitioned table.

    An invalid one is what a failed CREATE INDEX CONCURRENTLY left behind: no query uses it, so it is not built. (On a
    partitioned table invalid means that a partition lacks the index, and that stays so.)
    """
    if not row["valid"] and row["relation_kind"] != "p":
        return
    made = draft(kind, row)
    if row["relation_kind"] == "m":
        made.phase = Phase.POST_DATA
    yield made
    yield from marks(row, row["quoted_relation"], made)
    if row["parent_index"]:
        yield attachment(row, made, Address(PG_CLASS, row["parent_index_oid"]))


def extension_constraint(kind: "Kind", row: ExtensionConstraintRow) -> Iterator[Draft]:
    """A constraint of a table that comes with an extension."""
    made = draft(kind, row)
    made.kind = CONSTRAINT_KINDS[row["type"]]
    yield made


def sequence_owner(kind: "Kind", row: SequenceOwnerRow) -> Iterator[Draft]:
    """OWNED BY: apart from the sequence, which the table may need first."""
    made = draft(kind, row)
    made.requires.add(Address(PG_CLASS, row["objid"]))
    yield made


def function(kind: "Kind", row: FunctionRow) -> Iterator[Draft]:
    """A function or procedure, with what only a renamed schema needs to know of it."""
    made = draft(kind, row)
    made.search_path_setting = row["search_path_setting"] or ""
    made.body = row["body"] or ""
    yield made


def materialized_view(kind: "Kind", row: MaterializedViewRow) -> Iterator[Draft]:
    """A materialized view without rows, and the refresh that fills it."""
    made = draft(kind, row)
    made.statements = (row["definition"], *row["alterations"])
    yield made
    for number, column, method, statement in row["compressions"]:
        yield Draft(
            address=Address(PG_CLASS, row["objid"], int(number), "compression"),
            kind="compression",
            schema=made.schema,
            name=f"{column} {method}",
            phase=Phase.POST_DATA,
            statements=(statement,),
            drop=f"{statement.removesuffix(method)}default",
            relation=row["objid"],
            requires={made.address},
            replaceable=True,
        )
    if row["refresh"]:
        yield Draft(
            address=made.address._replace(aspect="rows"),
            kind=MATERIALIZED_ROWS,
            schema=made.schema,
            name=made.name,
            phase=Phase.POST_DATA,
            # PostgreSQL reads its query's tables as its owner, whose rows policies may choose.
            statements=("SET LOCAL row_security = on", row["refresh"]),
            drop=f"{row['refresh']} WITH NO DATA",
            requires={made.address},
            replaceable=True,
        )


def said_of(
    kind: "Kind",
    row: Row,
    statements: Sequence[str],
    drop: str = "",
    roles: Iterable[str] = (),
    becomes: Iterable[str] = (),
) -> Draft:
    """Something said of another object: it comes and goes with that one."""
    base = Address(row["classid"], row["objid"], row.get("objsubid") or 0)
    return Draft(
        address=base._replace(aspect=kind.name),
        kind=kind.name,
        schema="",
        name=row["name"],
        phase=kind.phase,
        statements=tuple(statements),
        drop=drop,
        replaceable=kind.replaceable,
        base=base,
        roles=frozenset(roles),
        becomes=frozenset(becomes),
        forgone=tuple(row.get("forgone") or ()),
    )


def comment(kind: "Kind", row: CommentRow) -> Iterator[Draft]:
    """COMMENT ON anything."""
    yield said_of(kind, row, [row["command"] + row["comment"]], drop=f"{row['command']}NULL")


def security_label(kind: "Kind", row: SecurityLabelRow) -> Iterator[Draft]:
    """SECURITY LABEL; an object may have one of each provider."""
    made = said_of(kind, row, [row["command"] + row["label"]], drop=f"{row['command']}NULL")
    made.address = made.address._replace(aspect=f"{kind.name} {row['provider']}")
    made.name, made.head = f"{row['provider']} on {made.name}", row["provider"]
    yield made


def extension_dependency(kind: "Kind", row: ExtensionDependencyRow) -> Iterator[Draft]:
    """ALTER ... DEPENDS ON EXTENSION; an object may depend on several."""
    made = said_of(kind, row, [row["command"]], drop=row["drop_statement"])
    made.address = made.address._replace(aspect=f"{kind.name} {row['extension']}")
    made.requires.add(Address(PG_EXTENSION, row["extension"]))
    yield made


def user_mapping(kind: "Kind", row: UserMappingRow) -> Iterator[Draft]:
    """A user mapping, which comes and goes with its server. It is no use of the server."""
    made = draft(kind, {**row, "schema": "", "aspect": kind.name})
    made.catalog_rows.add(made.address._replace(aspect=""))
    made.requires.add(Address(PG_FOREIGN_SERVER, row["server"]))
    yield made


def event_trigger(kind: "Kind", row: EventTriggerRow) -> Iterator[Draft]:
    """An event trigger, in the state that it is in."""
    made = draft(kind, row)
    if row["enabled"] != "O":
        made.statements += (f"ALTER EVENT TRIGGER {quote(row['name'])} {EVENT_TRIGGER_STATES[row['enabled']]}",)
    yield made


def subscription(kind: "Kind", row: SubscriptionRow) -> Iterator[Draft]:
    """A subscription, and its owner, whom not every role may read from a query for all owners."""
    made = draft(kind, row)
    yield made
    name, role = quote(row["name"]), row["owner"]
    owners = next(other for other in KINDS if other.name == "owner")
    named = {**row, "name": f"subscription {name}"}
    command = f"ALTER SUBSCRIPTION {name} OWNER TO {quote(role)}"
    yield said_of(owners, named, [command], roles=[role], becomes=[role])


def owner(kind: "Kind", row: OwnerRow) -> Iterator[Draft]:
    """ALTER ... OWNER TO."""
    if row.get("forgone"):
        yield said_of(kind, row, [])
    else:
        yield said_of(kind, row, [row["command"]], roles=[row["role"]], becomes=[row["role"]])


def privileges(kind: "Kind", row: PrivilegesRow) -> Iterator[Draft]:
    """The grants and revocations that lead from the default privileges to those held, if they differ."""
    statements = privilege_statements(row)
    if statements or row.get("forgone"):
        made = said_of(kind, row, statements, revocation(row), roles_of(row), grantors_of(row))
        if row["stands_alone"]:  # what they are on is no object of ours
            made.base = None
        yield made


def of_database(rows: Sequence[SaidOfDatabaseRow], parameters: Collection[str] | None) -> Iterator[Draft]:
    """What is said of the database itself, of what comes along; its privileges are among the others.

    Args:
        parameters: those of the server that it is for; None where that is the server that was read.
    """
    for row in rows:
        unknown = parameters is not None and is_unknown(row, parameters)
        if row["stays_because"] is not None or row["what"] == "privileges" or unknown:
            continue
        kind = "owner" if row["what"] == "owner" else "database"
        roles = frozenset[str]() if row["role"] is None else frozenset({row["role"]})
        yield Draft(
            address=Address(PG_DATABASE, row["place"], 0, row["what"]),
            kind=kind,
            schema="",
            name="database" if kind == "owner" else row["what"],
            phase=Phase.POST_DATA,
            statements=(row["statement"],),
            drop=row["undo"] or "",
            replaceable=True,
            roles=roles,
            becomes=roles if kind == "owner" else frozenset(),
            head=row["role"] or "",
        )


def is_unknown(row: SaidOfDatabaseRow, parameters: Collection[str]) -> bool:
    """Whether a setting is one that a server does not have, or can't have so; those with a dot anybody may set."""
    name = row["parameter"]
    if name is None or "." in name or name in parameters:
        return False
    return row["statement"].rpartition(" SET ")[2] not in parameters


def default_privileges(kind: "Kind", row: DefaultPrivilegesRow) -> Iterator[Draft]:
    """ALTER DEFAULT PRIVILEGES, in a schema or in all of them."""
    made = draft(kind, {**row, "name": f"of {row['owner']} on new {row['word'].lower()}"})
    made.statements, made.drop = default_privilege_statements(row)
    made.roles = roles_of(row) | {row["owner"]}
    made.becomes = frozenset({row["owner"]})
    made.forgone = tuple(row.get("forgone") or ())
    if made.forgone:
        made.statements = ()
    yield made


@dataclass(frozen=True)
class Kind:
    """An object kind: how it is called, the query that finds it, the earliest phase, and what a row becomes."""

    name: str
    query: str
    phase: Phase = Phase.PRE_DATA
    replaceable: bool = False
    build: Builder = one_object


KINDS: Sequence[Kind] = (
    Kind("extension", "extensions", replaceable=True),
    Kind("language", "languages"),
    Kind("access method", "access_methods"),
    Kind("foreign-data wrapper", "foreign_data_wrappers"),
    Kind("server", "foreign_servers"),
    Kind("user mapping", "user_mappings", build=user_mapping),
    Kind("schema", "schemas", replaceable=True),
    Kind("collation", "collations"),
    Kind("type", "enums"),
    Kind("domain", "domains", build=domain),
    Kind("type", "composites"),
    Kind("type", "ranges"),
    Kind("type", "base_types"),
    Kind("domain constraint", "domain_constraints"),
    Kind("function", "functions", replaceable=True, build=function),
    Kind("aggregate", "aggregates"),
    Kind("operator", "operators"),
    Kind("operator family", "operator_families"),
    Kind("operator class", "operator_classes"),
    Kind("operator family member", "operator_family_members"),
    Kind("cast", "casts"),
    Kind("transform", "transforms"),
    Kind("conversion", "conversions"),
    Kind("text search parser", "text_search_parsers"),
    Kind("text search template", "text_search_templates"),
    Kind("text search dictionary", "text_search_dictionaries"),
    Kind("text search configuration", "text_search_configurations"),
    Kind("sequence", "sequences"),
    Kind("identity", "identities"),
    Kind("sequence owner", "sequence_owners", replaceable=True, build=sequence_owner),
    Kind("index", "indexes", Phase.KEYS, build=index),
    Kind("statistics", "statistics", Phase.KEYS),
    Kind("check", "extension_constraints", Phase.POST_DATA, build=extension_constraint),
    Kind("view", "views", Phase.POST_DATA),
    Kind("view default", "view_defaults", Phase.POST_DATA, replaceable=True),
    Kind("materialized view", "materialized_views", Phase.POST_DATA, build=materialized_view),
    Kind("rule", "rules", Phase.POST_DATA),
    Kind("trigger", "triggers", Phase.POST_DATA),
    Kind("policy", "policies", Phase.POST_DATA),
    Kind("publication", "publications", Phase.POST_DATA),
    Kind("publication table", "publication_tables", Phase.POST_DATA),
    Kind("publication schema", "publication_schemas", Phase.POST_DATA),
    Kind("subscription", "subscriptions", Phase.POST_DATA, build=subscription),
    Kind("event trigger", "event_triggers", Phase.POST_DATA, build=event_trigger),
    Kind("row security", "row_security", Phase.POST_DATA, replaceable=True),
    Kind("comment", "comments", Phase.POST_DATA, replaceable=True, build=comment),
    Kind("security label", "security_labels", Phase.POST_DATA, replaceable=True, build=security_label),
    Kind(
        "extension dependency",
        "extension_dependencies",
        Phase.POST_DATA,
        replaceable=True,
        build=extension_dependency,
    ),
    Kind("owner", "owners", Phase.POST_DATA, replaceable=True, build=owner),
    Kind("privileges", "privileges", Phase.POST_DATA, build=privileges),
    Kind("default privileges", "default_privileges", Phase.POST_DATA, build=default_privileges),
)
