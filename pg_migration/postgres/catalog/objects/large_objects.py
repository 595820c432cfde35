"""Which large objects of a database are to be copied, whose they are, and who may read them.

Large objects are in no schema: what they belong to is the database. Where tables outside of the chosen schemas may
refer to some, those are copied that the chosen tables refer to; else all.
"""

from collections.abc import Iterable, Sequence

from psycopg2 import sql

from pg_migration.postgres.catalog.model import LargeObjects, Notice, PrivilegesOfLargeObjects, ReferringColumn
from pg_migration.postgres.catalog.objects.privileges import grantors_of, roles_of, within_reach
from pg_migration.postgres.catalog.objects.table_rows import TableRows
from pg_migration.postgres.catalog.reading.catalog_session import CatalogSession
from pg_migration.postgres.catalog.reading.rows import PrivilegesRow
from pg_migration.postgres.figures import counted
from pg_migration.postgres.roles.reach import Reach
from pg_migration.postgres.sql_files import sql_file

KIND = "large objects"
PG_LARGEOBJECT = 2613


def large_objects(
    session: CatalogSession, tables: TableRows, kept: Iterable[int], wanted: bool, reach: Reach | None
) -> tuple[LargeObjects | None, list[Notice]]:
    """The large objects to copy, None where there are none; and what there is to say of the others.

    Args:
        kept: OIDs of the tables that are copied.
        wanted: whether large objects are copied at all.
        reach: of the target's role, where what it can't give is to be left out.
    """
    if not tables.rows["large_objects"]:
        return None, []
    ((objects, elsewhere),) = ((row["objects"], row["referred_elsewhere"]) for row in tables.rows["large_objects"])
    if not wanted:
        return None, [_notice(objects, "left out (large_objects: false)")]
    columns = _referring(tables, kept) if elsewhere else None
    rows = session.fetch(privileges_query(chosen(columns)))
    found = [PrivilegesOfLargeObjects(*row) for row in rows]
    copied = sum(one.objects for one in found)
    notices = []
    if left := objects - copied:
        notices.append(
            _notice(
                left,
                "not copied: no column of type oid in the migrated tables refers to them, and tables of other schemas "
                "may; PG_MIGRATION_SOURCE_SCHEMA=* copies all",
            )
        )
    if not copied:
        return None, notices
    notices += [
        Notice(KIND, f"{one.objects:,} of {one.owner}", f"{reason}, since role {reach.role} of the target may not")
        for one in found
        if reach is not None
        for reason in _forgone(one, reach)
    ]
    return LargeObjects(copied, columns, tuple(found)), notices


def privileges_query(condition: sql.Composable) -> sql.Composable:
    """What `PrivilegesOfLargeObjects` is made of, for the objects that a condition on ``m.oid`` holds for."""
    return sql.SQL(sql_file("catalog/objects/large_object_privileges.sql")).format(chosen=condition)


def chosen(columns: Sequence[ReferringColumn] | None) -> sql.Composable:
    """The condition on ``m.oid`` that holds for the objects which some columns refer to, or for all."""
    if columns is None:
        return sql.SQL("true")
    if not columns:
        return sql.SQL("false")
    selects = (
        sql.SQL("SELECT {} FROM ONLY {}").format(sql.Identifier(column), sql.Identifier(schema, table))
        for schema, table, column in columns
    )
    return sql.SQL("m.oid IN ({})").format(sql.SQL(" UNION ALL ").join(selects))


def privileges_row(one: PrivilegesOfLargeObjects, objects: str) -> PrivilegesRow:
    """As the privileges of other objects are read.

    Args:
        objects: how a statement names them: their OIDs, with commas.
    """
    return {
        "classid": PG_LARGEOBJECT,
        "objid": 0,
        "objsubid": 0,
        "word": "LARGE OBJECT",
        "stands_alone": False,
        "quoted_column": None,
        "quoted": objects,
        "name": "large object",
        "owner": one.owner,
        "options_on_relation": None,
        "held": [list(grant) for grant in one.held],
        "by_default": [list(grant) for grant in one.by_default],
    }


def roles(found: LargeObjects | None, owners: bool, privileges: bool, reach: Reach | None) -> frozenset[str]:
    """The roles that have to be in the target."""
    named: set[str] = set()
    for one in found.privileges if found is not None else ():
        if owners and (reach is None or reach.may_own(one.owner)):
            named.add(one.owner)
        if privileges:
            row = privileges_row(one, "")
            named |= roles_of(row if reach is None else within_reach("privileges", row, reach))
    return frozenset(named)


def acted_for(found: LargeObjects | None) -> frozenset[str]:
    """The roles that whoever makes the objects has to act for: owners and grantors."""
    privileges = found.privileges if found is not None else ()
    return frozenset(role for one in privileges for role in (one.owner, *grantors_of(privileges_row(one, ""))))


def _referring(tables: TableRows, kept: Iterable[int]) -> tuple[ReferringColumn, ...]:
    relations = [tables.tables[oid] for oid in kept if oid in tables.tables]
    return tuple(
        (row["schema"], row["name"], column["name"])
        for row in relations
        if row["kind"] == "r"
        for column in tables.columns_of(row)
        if column["base_type"] == "oid"
    )


def _notice(objects: int, reason: str) -> Notice:
    return Notice(KIND, "pg_largeobject", f"{counted(objects, 'large object')}: {reason}")


def _forgone(one: PrivilegesOfLargeObjects, reach: Reach) -> list[str]:
    owner = [] if reach.may_own(one.owner) else [f"they are not given to {one.owner}"]
    return [*owner, *within_reach("privileges", privileges_row(one, ""), reach).get("forgone", ())]
