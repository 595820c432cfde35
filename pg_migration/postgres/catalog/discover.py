"""Discover everything in some schemas of a database, as objects with the DDL that makes them in the target."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog.builder import Finisher, configuration_table
from pg_migration.postgres.catalog.draft import FIRST_OF_USERS, PG_CLASS, Draft
from pg_migration.postgres.catalog.model import Address, Catalog, ConfigurationTable, Notice, Phase
from pg_migration.postgres.catalog.notices import (
    bodies_with_old_names,
    display,
    leaning_outside,
    unreadable_mappings,
    unused_notices,
)
from pg_migration.postgres.catalog.objects import kinds, large_objects
from pg_migration.postgres.catalog.objects.lookups import read_lookups
from pg_migration.postgres.catalog.objects.privileges import as_owned_by, within_reach, without_grants_to
from pg_migration.postgres.catalog.objects.table_rows import TableRows
from pg_migration.postgres.catalog.objects.tables import table_drafts
from pg_migration.postgres.catalog.ordering.dependencies import (
    Assembly,
    assemble,
    break_cycles,
    drop_unused,
    make_views_early,
    put_tables_first,
)
from pg_migration.postgres.catalog.ordering.graph import reachable
from pg_migration.postgres.catalog.patterns import is_excluded, unmatched
from pg_migration.postgres.catalog.reading.catalog_session import CatalogSession, Query, Row, catalog_session
from pg_migration.postgres.catalog.reading.rows import (
    EventTriggerRow,
    ExtensionConfigurationRow,
    ExtensionMemberRow,
    ExtensionRow,
    PrivilegesRow,
    Rows,
    SaidOfDatabaseRow,
    ServerRow,
    TableRow,
)
from pg_migration.postgres.catalog.reading.surroundings import Surroundings, database_notices, said_of_database
from pg_migration.postgres.catalog.schema_renaming import (
    Renaming,
    may_hold_alias,
    quote,
    search_path_clause,
    table_aliases,
)
from pg_migration.postgres.errors import ConfigurationError, NotPermitted
from pg_migration.postgres.roles.reach import Reach

SHARED_QUERIES = (
    "tables",
    "columns",
    "constraints",
    "dependencies",
    "extension_members",
    "extension_configurations",
    "naming_tables",
    "outside",
    "large_objects",
    "database_settings",
    "server",
)


def discover(
    connection: Connection,
    schemas: Mapping[str, str],
    exclude: Sequence[str] = (),
    target_version: int | None = None,
    target_extensions: Mapping[str, str] | None = None,
    surroundings: Surroundings | None = None,
    ownership: bool = True,
    privileges: bool = True,
    reach: Reach | None = None,
    maker: str | None = None,
    own_grants: bool = True,
    with_large_objects: bool = True,
    brought_from: str | None = None,
    readable: bool = True,
    may_lack_schemas: bool = False,
    whole: bool = False,
    keep_versions: bool = False,
) -> Catalog:
    """Read the catalogs of one database.

    Args:
        connection: anywhere, inside a transaction or not; nothing is written and every setting is restored.
        schemas: each schema to read, and the name that it gets in the target.
        exclude: fnmatch patterns, matched case-sensitively against ``table`` and ``schema.table``.
        target_version: server_version_num of the server that the DDL is for; by default the one that is read.
        target_extensions: extensions that the target already has, and in which schema (`installed_extensions`): their
            members are named there.
        surroundings: what is in the target beside the schemas (`read_surroundings`). What is said of the database
            itself otherwise than there is named in ``notices``.
        ownership: whether owners are carried over; else everything belongs to the role that makes it.
        privileges: whether grants and default privileges are carried over.
        reach: leave out, and name in ``notices``, what the role that this describes can't give; by default nothing.
        maker: the role that makes the objects of the target, and owns there what is not given to its owner.
        own_grants: whether what the role that connects was granted on the schemas counts: in a target that may be what
            lets it work there.
        with_large_objects: whether large objects are to be copied.
        brought_from: the source whose objects in this database are of interest (`ddl.origin`). What is in no schema
            is not named then: nothing is to be copied from a target.
        readable: whether the role has to be able to read the rows of every table.
        may_lack_schemas: whether schemas that are not there are left out, instead of refused.
        keep_versions: whether extensions are made in the versions that they have here, where the target offers these.
        whole: whether the schemas stand for the whole database, so that what belongs to none of them comes along.

    Returns:
        The catalog. Objects that depend on an excluded table are left out and named in ``notices``.

    Raises:
        ConfigurationError: a schema does not exist, or a name in ``exclude`` means no table.
        NotPermitted: the role may not read a table, and has to.
    """
    version = connection.server_version
    settings = {
        "pg_migration.target_version": str(target_version or version),
        "pg_migration.whole": "on" if whole else "",
        "pg_migration.target_database": surroundings.database if surroundings else str(connection.info.dbname),
    }
    if brought_from is not None:
        settings["pg_migration.source"] = brought_from
    with catalog_session(connection, schemas, settings) as session:
        said = surroundings is not None or whole
        rows, others = _read_all(session, schemas, brought_from, settings["pg_migration.target_database"] * said)
        rows["event_triggers"] = _states_to_come(rows)
        if whole:
            rows["extensions"] = _of_whole_database(rows["extensions"], surroundings)
        other_versions: list[Notice] = []
        if keep_versions and surroundings is not None:
            rows["extensions"], other_versions = _in_their_versions(rows["extensions"], surroundings)
        lookups = read_lookups(session, rows["dependencies"])
        present = {row["name"] for row in rows["schemas"]}
        if may_lack_schemas:
            schemas = {old: new for old, new in schemas.items() if old in present}
        elif missing := sorted(schemas.keys() - present):
            raise ConfigurationError(
                f"there is no schema {', '.join(missing)} in this database. Names are case-sensitive; check "
                f"PG_MIGRATION_SOURCE_SCHEMA."
            )
        idle_patterns = unmatched(
            exclude, [(row["schema"], row["name"]) for row in (*rows["tables"], *rows["extension_configurations"])]
        )
        excluded = _excluded_tables(rows["tables"], exclude)
        tables = TableRows(rows, version, target_version or version)
        switched_off = {
            *(() if ownership else ("owner",)),
            *(() if privileges else ("privileges", "default privileges")),
        }
        if not own_grants:
            role = rows["server"][0]["role"]
            rows["privileges"] = [without_grants_to(role, row) for row in rows["privileges"]]
        if maker is not None:
            rows["privileges"] = _on_what_is_left_to(maker, rows, ownership, reach)
        made = [*_drafts(rows, switched_off, reach)]
        if whole:
            there = surroundings.parameters if surroundings is not None else None
            made += [draft for draft in kinds.of_database(others.said, there) if draft.kind not in switched_off]
        drafts, moved = _on_members(made, rows, schemas, target_extensions or {})
        drafts += table_drafts(tables)
        _tell_aliases_from_schemas(session, schemas, drafts)
        assembly = assemble(drafts, rows["dependencies"], rows["extension_members"], lookups)
        excluded_drafts, notices = _exclude(assembly, tables, excluded, exclude)
        notices += [*moved, *other_versions]
        forgone, told = _forgo(assembly, reach)
        excluded_drafts += forgone
        notices += told
        unused = drop_unused(assembly)
        notices += [
            *unused_notices(unused, rows["extension_configurations"], whole),
            *_excluded_configurations(rows["extension_configurations"], exclude),
            *bodies_with_old_names(assembly, schemas),
            *_texts_with_old_names(assembly, tables, schemas),
            *leaning_outside(session, assembly),
            *unreadable_mappings(assembly, rows["user_mappings"]),
            *(Notice(row["kind"], row["name"], row["reason"]) for row in rows["outside"]),
            *(database_notices(str(connection.info.dbname), others.said, surroundings, whole) if surroundings else ()),
        ]
        if readable:
            _check_readable(tables, assembly)
        kept = [address.objid for address, draft in assembly.drafts.items() if draft.kind == "table"]
        found, told = large_objects.large_objects(session, tables, kept, with_large_objects, reach)
        notices += told
    break_cycles(assembly)
    put_tables_first(assembly)
    if any(Address(PG_CLASS, row["relation"]) in assembly.drafts for row in rows["naming_tables"]):
        make_views_early(assembly)
    rename = Renaming(schemas, _moved_members(rows["extension_members"], target_extensions or {}))
    finisher = Finisher(version, schemas, rows, tables, others.type_names, assembly, rename, exclude)
    catalog = finisher.catalog(notices, idle_patterns, unused, excluded_drafts)
    named = large_objects.roles(found, ownership, privileges, reach)
    return replace(catalog, large_objects=found, roles=tuple(sorted({*catalog.roles, *named})))


def installed_extensions(connection: Connection) -> Mapping[str, str]:
    """The extensions in a database, and the schema of each."""
    with catalog_session(connection, {}) as session:
        rows = session.read("installed_extensions")["installed_extensions"]
    return {row["name"]: row["schema"] for row in rows}


def configurations(connection: Connection) -> tuple[ConfigurationTable, ...]:
    """What the extensions of a database say that holds users' rows."""
    with catalog_session(connection, {}) as session:
        return tuple(map(configuration_table, session.read("extension_configurations")["extension_configurations"]))


def _excluded_configurations(rows: Sequence[ExtensionConfigurationRow], exclude: Sequence[str]) -> list[Notice]:
    return [
        Notice("extension rows", f"{row['schema']}.{row['name']}", f"excluded, of extension {row['extension_name']}")
        for row in rows
        if is_excluded(row["schema"], row["name"], exclude)
    ]


def _moved_members(
    members: Sequence[ExtensionMemberRow], installed: Mapping[str, str]
) -> Mapping[tuple[str, str], str]:
    """Where members are that the target may have elsewhere; those outside of the extension's own schema never move."""
    return {
        (row["schema"], row["name"]): installed[row["extension_name"]]
        for row in members
        if row["extension_name"] in installed and row["name"] is not None and row["schema"] == row["extension_schema"]
    }


@dataclass(frozen=True)
class _Others:
    """What is read beside the rows that objects are made of: the names of types, and what is said of the database."""

    type_names: Mapping[tuple[int, int], str]
    said: Sequence[SaidOfDatabaseRow]


def _read_all(
    session: CatalogSession, schemas: Mapping[str, str], brought_from: str | None, target_database: str
) -> tuple[Rows, _Others]:
    """The rows of all queries, and what is said of the database where the name of its target is given."""
    queries = dict.fromkeys((*SHARED_QUERIES, *(kind.query for kind in kinds.KINDS)))
    known = session.read("idle_queries", "server")
    server: ServerRow = known["server"][0]
    idle = {row["query"] for row in known["idle_queries"]}
    if brought_from is not None:
        idle |= {"outside", "large_objects"}
    from_ledger = {
        "remembered": server["remembers"],
        "brought": brought_from is not None and server["knows_origins"],
        "brought_large_objects": brought_from is not None and server["knows_large_objects"],
        "set_aside": server["remembers"] and "event_triggers" not in idle,
    }
    wanted: list[str | Query] = [name for name in queries if name not in idle and name not in known]
    wanted += [name for name, is_there in from_ledger.items() if is_there]
    wanted += [said_of_database(target_database)] if target_database else []
    wanted += [Query.relative("type_names", list(schemas), quote_all_identifiers="off")]
    found = session.read(*wanted)
    others = _Others(
        {(row["type_oid"], row["type_modifier"]): row["name"] for row in found["type_names"]},
        found.get("database", ()),
    )
    nothing: dict[str, list[Any]] = {name: [] for name in (*queries, *from_ledger)}
    return cast(Rows, {**nothing, **found, "server": known["server"]}), others


def _drafts(rows: Rows, switched_off: Collection[str], reach: Reach | None) -> Iterator[Draft]:
    for kind in kinds.KINDS:
        if kind.name not in switched_off:
            for row in cast(Mapping[str, Sequence[Row]], rows)[kind.query]:
                made = kind.build(kind, row if reach is None else within_reach(kind.name, row, reach))
                yield from (draft for draft in made if draft.kind not in switched_off)


def _on_what_is_left_to(maker: str, rows: Rows, ownership: bool, reach: Reach | None) -> Sequence[PrivilegesRow]:
    """Privileges, where some objects are not given to their owners. What every database has, nobody makes."""
    left = {
        (row["classid"], row["objid"])
        for row in rows["owners"]
        if not (ownership and (reach is None or reach.may_own(row["role"]))) and row["objid"] >= FIRST_OF_USERS
    }
    inside = [*rows["sequence_owners"], *rows["identities"]]  # these follow their tables
    left |= {(row["classid"], row["objid"]) for row in inside if (PG_CLASS, row["relation"]) in left}
    return [as_owned_by(maker, row) if (row["classid"], row["objid"]) in left else row for row in rows["privileges"]]


def _of_whole_database(rows: Sequence[ExtensionRow], target: Surroundings | None) -> Sequence[ExtensionRow]:
    """Extensions, which all come along; of those that nothing uses only what the target has or its role may make."""
    can_have = {row["name"] for row in rows} if target is None else {*target.extensions, *target.creatable}
    return [{**row, "only_if_used": row["only_if_used"] and row["name"] not in can_have} for row in rows]


def _in_their_versions(rows: Sequence[ExtensionRow], target: Surroundings) -> tuple[list[ExtensionRow], list[Notice]]:
    """Extensions in the versions that they have, as far as the target offers these; and the others."""
    made, told = [], []
    for row in rows:
        offered, name = target.versions.get(row["name"], ()), row["name"]
        if row["version"] in offered:
            *before, create = row["statements"]
            row = {**row, "statements": [*before, f"{create} VERSION {quote(row['version'])}"]}
        elif offered and name not in target.extensions:
            reason = f"it is made in version {offered[0]}, since the target does not offer {row['version']}"
            told.append(Notice("extension", name, reason))
        made.append(row)
    return made, told


def _states_to_come(rows: Rows) -> Sequence[EventTriggerRow]:
    """Event triggers as they will be when those that a run has disabled are brought back."""
    states = {word: letter for letter, word in kinds.EVENT_TRIGGER_STATES.items()}
    back = {row["name"]: states[row["restore"].rpartition('" ')[2]] for row in rows["set_aside"]}
    return [{**row, "enabled": back.get(row["name"], row["enabled"])} for row in rows["event_triggers"]]


def _forgo(assembly: Assembly, reach: Reach | None) -> tuple[list[Draft], list[Notice]]:
    """Take out what is out of reach altogether; what was taken out, and all of it by kind and name, in few lines."""
    told: dict[tuple[str, str], list[str]] = {}
    for draft in assembly.drafts.values():
        for reason in draft.forgone:
            told.setdefault((draft.kind, reason), []).append(draft.name)
    gone = [draft for draft in assembly.drafts.values() if draft.forgone and not draft.statements]
    assembly.remove([draft.address for draft in gone])
    role = reach.role if reach else ""
    return gone, [
        Notice(kind, ", ".join(sorted(names)), f"{reason}, since role {role} of the target may not")
        for (kind, reason), names in told.items()
    ]


def _on_members(
    drafts: Sequence[Draft], rows: Rows, schemas: Mapping[str, str], installed: Mapping[str, str]
) -> tuple[list[Draft], list[Notice]]:
    """What is on tables and views of extensions is made when the extensions are there, and their rows.

    The catalogs don't tell what users have put there from what the extension has. Where that is as it was, the target
    has its part already. Where the target has the extension in another schema, all that can be done is to name what is
    younger than every member.
    """
    members = {row["objid"]: row for row in rows["extension_members"] if row["classid"] == PG_CLASS}
    newest: dict[int, int] = {}
    for row in rows["extension_members"]:
        newest[row["extension"]] = max(newest.get(row["extension"], 0), row["objid"])
    kept: list[Draft] = []
    notices = []
    for draft in drafts:
        if (member := members.get(draft.relation)) is None:
            kept.append(draft)
            continue
        name, home = member["extension_name"], schemas.get(member["schema"], member["schema"])
        if installed.get(name, home) == home or member["schema"] != member["extension_schema"]:
            draft.phase = Phase.POST_DATA
            kept.append(draft)
        elif draft.address.objid > newest[member["extension"]]:
            reason = (
                f"it is on {member['schema']}.{member['name']} of extension {name}, which is elsewhere in the target"
            )
            notices.append(Notice(draft.kind, draft.name, reason))
    return kept, notices


def _tell_aliases_from_schemas(session: CatalogSession, schemas: Mapping[str, str], drafts: Sequence[Draft]) -> None:
    """Where a table has the name of a renamed schema: have the server write once more, relative to the schema."""
    for old, new in schemas.items():
        doubtful = {
            draft.address: draft
            for draft in drafts
            if old != new and any(may_hold_alias(statement, old, draft.kind) for statement in draft.statements)
        }
        if not doubtful:
            continue
        named = {draft.kind for draft in doubtful.values()}
        again_kinds = [kind for kind in kinds.KINDS if kind.name in named]
        relative = session.read(*(Query.relative(query, [old]) for query in {kind.query for kind in again_kinds}))
        for again in (again for kind in again_kinds for row in relative[kind.query] for again in kind.build(kind, row)):
            if (draft := doubtful.get(again.address)) is None:
                continue
            for statement, other in zip(draft.statements, again.statements, strict=True):
                draft.aliases.setdefault(statement, set()).update(table_aliases(statement, other, old))


def _check_readable(tables: TableRows, assembly: Assembly) -> None:
    refused = sorted(
        f"{row['schema']}.{row['name']}"
        for row in tables.tables.values()
        if not row["readable"] and row["server"] is None and Address(PG_CLASS, row["oid"]) in assembly.drafts
    )
    if refused:
        raise NotPermitted(
            f"the role that connects may not read {len(refused)} table(s): {', '.join(refused)}. Grant it SELECT on "
            f"them (and USAGE on their schemas), or leave them out with exclude_tables."
        )


_TABLES = ("table", "foreign table")


def _why_excluded(draft: Draft, is_excluded_table: bool, patterns: Sequence[str]) -> str:
    if draft.kind in _TABLES and is_excluded_table:
        named = is_excluded(draft.schema, draft.name, patterns)
        return "excluded by exclude_tables" if named else "its parent is excluded by exclude_tables"
    return "it needs a table that is excluded, or belongs to one"


def _excluded_tables(tables: Sequence[TableRow], patterns: Sequence[str]) -> set[int]:
    """OIDs of the tables that patterns mean, with their partitions and inheritance children."""
    named = {row["oid"] for row in tables if is_excluded(row["schema"], row["name"], patterns)}
    children: dict[int, list[int]] = {}
    for row in tables:
        for parent in row["parents"] or ():
            children.setdefault(parent, []).append(row["oid"])
    return reachable(named, children)


def _exclude(
    assembly: Assembly, tables: TableRows, excluded: set[int], patterns: Sequence[str]
) -> tuple[list[Draft], list[Notice]]:
    """Take excluded tables out, with all that leans on them; what is not part of a named table is noticed."""
    if not excluded:
        return [], []
    start = {Address(PG_CLASS, oid) for oid in excluded}
    gone = reachable(start, assembly.dependents())
    owned = {
        needed
        for address in gone
        if address.aspect == "owned by"
        for needed in assembly.edges[address]
        if assembly.drafts[needed].kind == "sequence"
    }
    used = {needed for address, edges in assembly.edges.items() if address not in gone for needed in edges}
    gone |= owned - used
    notices = [
        Notice(draft.kind, display(draft, tables), _why_excluded(draft, address in start, patterns))
        for address in sorted(gone)
        if (draft := assembly.drafts[address]).base is None
        and (draft.kind in _TABLES or draft.relation not in excluded)
    ]
    drafts = [assembly.drafts[address] for address in sorted(gone)]
    assembly.remove(gone)
    return drafts, notices


def _texts_with_old_names(assembly: Assembly, tables: TableRows, schemas: Mapping[str, str]) -> list[Notice]:
    """Objects in whose definitions a string names a schema that gets another name; it may be a name or just a word."""
    rename = Renaming(schemas)
    notices = []
    for draft in assembly.drafts.values() if any(old != new for old, new in schemas.items()) else ():
        for said in (draft, *draft.parts):
            if said.kind == "comment":
                continue
            inside = "" if said is not draft else ";".join(text for part in draft.parts for text in part.statements)
            definition = ";\n".join(said.statements)
            if said.search_path_setting:  # it follows, as `Finisher` has it
                definition = definition.replace(search_path_clause(said.search_path_setting, {}), "\n", 1)
            for old, texts in rename.left_in_text(definition).items():
                own = [text for text in dict.fromkeys(texts) if text not in inside]
                if own:
                    reason = f"it holds the name of schema {old} as text and is left as it is: {', '.join(own)}"
                    notices.append(Notice(said.kind, display(said, tables), reason))
    return notices
