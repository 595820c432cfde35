"""Name what is not copied, or not as it was."""

import re
from collections.abc import Mapping, Sequence

from psycopg2 import sql

from pg_migration.postgres.catalog.draft import Draft
from pg_migration.postgres.catalog.model import Address, Notice
from pg_migration.postgres.catalog.objects.table_rows import TableRows
from pg_migration.postgres.catalog.ordering.dependencies import Assembly
from pg_migration.postgres.catalog.reading.catalog_session import CatalogSession
from pg_migration.postgres.catalog.reading.rows import ExtensionConfigurationRow, UserMappingRow

_OF_THE_DATABASE = "it belongs to the whole database, and only some of its schemas are migrated"
_UNUSED = {
    "default privileges": "they hold for every schema of the database, and not every one is migrated",
    "event trigger": _OF_THE_DATABASE,
    "publication": "nothing in the migrated schemas is in it by name",
    "subscription": _OF_THE_DATABASE,
}


def unused_notices(
    drafts: Sequence[Draft], configurations: Sequence[ExtensionConfigurationRow], whole: bool
) -> list[Notice]:
    return [
        Notice(draft.kind, draft.name, _UNUSED.get(draft.kind, _of_no_use(draft, configurations, whole)))
        for draft in drafts
        if draft.base is None
    ]


def _of_no_use(draft: Draft, configurations: Sequence[ExtensionConfigurationRow], whole: bool) -> str:
    tables = [f"{row['schema']}.{row['name']}" for row in configurations if row["extension"] == draft.address.objid]
    rows = f", and so the users' rows in {', '.join(tables)} are not copied" if tables else ""
    beside = ", and the target's server does not have it, or its role may not make it" if whole else ""
    return f"nothing in the migrated schemas uses it{rows}{beside}"


def bodies_with_old_names(assembly: Assembly, schemas: Mapping[str, str]) -> list[Notice]:
    """Functions whose body, a text that no catalog understands, names a schema that gets another name."""
    renamed = [old for old, new in schemas.items() if old != new]
    return [
        Notice("function body", f"{draft.schema}.{draft.name}", f"its text names schema {old} and is left as it is")
        for draft in assembly.drafts.values()
        for old in renamed
        if draft.body and re.search(rf"(?<!\w){re.escape(old)}(?!\w)", draft.body)
    ]


def leaning_outside(session: CatalogSession, assembly: Assembly) -> list[Notice]:
    """Objects that need something which is neither in the chosen schemas nor in an extension."""
    outside = {
        # An extension's own schema is made with it.
        address: [draft for user in users if (draft := assembly.drafts.get(user)) and draft.kind != "extension"]
        for address, users in assembly.outside.items()
    }
    wanted = [address for address, users in outside.items() if users]
    if not wanted:
        return []
    named = session.fetch(
        sql.SQL(
            "SELECT a.classid, a.objid, i.type || ' ' || i.identity"
            "  FROM unnest({}::oid[], {}::oid[]) AS a (classid, objid)"
            " CROSS JOIN LATERAL pg_identify_object(a.classid, a.objid, 0) AS i"
        ).format(*map(sql.Literal, map(list, zip(*(address[:2] for address in wanted), strict=True))))
    )
    return [
        Notice(
            user.kind,
            f"{user.schema}.{user.name}" if user.schema else user.name,
            f"it needs {name}, which is outside the migrated schemas and has to be in the target already",
        )
        for classid, objid, name in named
        for user in outside[Address(classid, objid)]
    ]


def unreadable_mappings(assembly: Assembly, rows: Sequence[UserMappingRow]) -> list[Notice]:
    """User mappings that are made without the options that the role may not read."""
    made = {(address.classid, address.objid) for address in assembly.drafts}
    return [
        Notice("user mapping", row["name"], "the role of the source may not read its options, such as a password")
        for row in rows
        if not row["readable"] and (row["classid"], row["objid"]) in made
    ]


def display(draft: Draft, tables: TableRows) -> str:
    table = tables.tables.get(draft.relation)
    if table is None or draft.kind in ("table", "foreign table"):
        return f"{draft.schema}.{draft.name}" if draft.schema else draft.name
    return f"{draft.name} on {table['schema']}.{table['name']}"
