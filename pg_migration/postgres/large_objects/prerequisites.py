"""What must hold before large objects are copied: found, as by preflight, before anything is touched."""

from collections.abc import Iterator, Sequence

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import LargeObjects
from pg_migration.postgres.catalog.objects.large_objects import privileges_row
from pg_migration.postgres.catalog.objects.privileges import grantors_of
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.figures import counted, listed
from pg_migration.postgres.large_objects.owned import our_runs, taken
from pg_migration.postgres.ledger.own_rows import Databases
from pg_migration.postgres.preflight import Ends, Finding, error, passed, warning
from pg_migration.postgres.roles.reach import quoted

LARGE_OBJECTS = "large objects"

READ_ALL_DATA_SINCE = 190000
MAX_NAMED = 10

_ABLE = """
SELECT current_user, current_database(), has_database_privilege(current_database(), 'TEMPORARY'),
       (SELECT has_language_privilege(l.oid, 'USAGE') FROM pg_language l WHERE l.lanname = 'plpgsql')
"""


def look_at_large_objects(
    ends: Ends, found: LargeObjects, databases: Databases, owners: object, privileges: bool, overwrite: bool
) -> Iterator[Finding]:
    """Whether some large objects can be read, made, and given to their owners.

    Args:
        owners, privileges, overwrite: the options owners, privileges and overwrite_existing_rows.

    Raises:
        psycopg2.Error: a server refused to answer.
    """
    findings = [
        *_unreadable(ends.source, found),
        *_unable(ends.target),
        *_out_of_reach(ends, found, owners, privileges),
    ]
    findings += _taken(taken(ends.source, ends.target, our_runs(ends.target, databases)), overwrite)
    yield from findings or [passed(LARGE_OBJECTS, f"{found.objects:,} can be read, and made in the target")]


def _unreadable(source: Connection, found: LargeObjects) -> Iterator[Finding]:
    refused = [one for one in found.privileges if not one.readable]
    if not refused:
        return
    ((role,),) = fetch(source, "SELECT current_user")
    many = sum(one.objects for one in refused)
    examples = sorted(one.example for one in refused)[:MAX_NAMED]
    owners = listed(sorted({one.owner for one in refused}))
    advice = f"GRANT SELECT ON LARGE OBJECT {', '.join(map(str, examples))} TO {quoted(role)};"
    if many > len(examples):
        in_text = quoted(role).replace("'", "''")
        advice = (
            f"DO $$BEGIN EXECUTE (SELECT 'GRANT SELECT ON LARGE OBJECT ' || string_agg(oid::text, ', ') || "
            f"' TO {in_text}' FROM pg_largeobject_metadata); END$$;"
        )
    if source.server_version >= READ_ALL_DATA_SINCE:
        advice = f"GRANT pg_read_all_data TO {quoted(role)}; or {advice}"
    yield error(
        LARGE_OBJECTS,
        f"role {role} may not read {counted(many, 'large object')} of the source (of {owners}), such as "
        f"{listed(map(str, examples))}",
        f"As a superuser run in the source: {advice} Or leave them out: large_objects: false",
    )


def _unable(target: Connection) -> Iterator[Finding]:
    ((role, database, temporary, language),) = fetch(target, _ABLE)
    if not temporary:
        yield error(
            LARGE_OBJECTS,
            f"role {role} may not make temporary tables in the target database {database}, which take in large objects",
            f"As its owner run: GRANT TEMPORARY ON DATABASE {quoted(database)} TO {quoted(role)};",
        )
    if not language:
        wanted = (
            "CREATE EXTENSION plpgsql;" if language is None else f"GRANT USAGE ON LANGUAGE plpgsql TO {quoted(role)};"
        )
        yield error(
            LARGE_OBJECTS,
            f"role {role} may not write functions in language plpgsql in the target database {database}, by which "
            f"large objects are made",
            f"As a superuser run there: {wanted}",
        )


def _out_of_reach(ends: Ends, found: LargeObjects, owners: object, privileges: bool) -> Iterator[Finding]:
    """Owners and grantors for whom the role can't act; roles that are missing are told elsewhere."""
    reach = ends.reach
    if reach.superuser or owners == "best_effort":
        return
    named = {one.owner for one in found.privileges if owners and not reach.may_own(one.owner)}
    if privileges:
        grantors = {role for one in found.privileges for role in grantors_of(privileges_row(one, ""))}
        named |= {role for role in grantors if not reach.may_become(role)}
    for role in sorted(role for role in named if reach.has(role)):
        objects = sum(one.objects for one in found.privileges if one.owner == role)
        yield error(
            LARGE_OBJECTS,
            f"role {reach.role} of the target may not act for {role}, as it has to for "
            f"{counted(objects, 'large object')}",
            f"{reach.remedy(role)} Or set owners: best_effort, which leaves out and names what can't be given",
        )


def _taken(oids: Sequence[int], overwrite: bool) -> Iterator[Finding]:
    if not oids:
        return
    verdict = (
        f"the target has {counted(len(oids), 'large object')} of its own with the OIDs of the source's: "
        f"{listed(map(str, oids), MAX_NAMED)}"
    )
    if overwrite:
        yield warning(LARGE_OBJECTS, f"{verdict}; they are replaced", "Nothing, if nobody needs them")
    else:
        yield error(
            LARGE_OBJECTS,
            f"{verdict}. No migration from this source has brought them",
            "Give another target, drop them there (SELECT lo_unlink(oid)), or replace them: "
            "overwrite_existing_rows: true",
        )
