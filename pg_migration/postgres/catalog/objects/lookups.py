"""What the expressions of objects look up: the operators and functions that their text may not tell."""

from collections.abc import Mapping, Sequence

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog.draft import PG_OPERATOR
from pg_migration.postgres.catalog.model import Address, Lookup
from pg_migration.postgres.catalog.objects.node_trees import WRITTEN_OUT, lookups
from pg_migration.postgres.catalog.reading.catalog_session import DEPARSING, CatalogSession
from pg_migration.postgres.catalog.reading.rows import DependencyRow, LookupsRow


def read_lookups(session: CatalogSession, dependencies: Sequence[DependencyRow]) -> Mapping[Address, frozenset[Lookup]]:
    """The lookups of every object that leans on an operator outside pg_catalog; asks only where there is one.

    Args:
        session: reads the catalogs of the database.
        dependencies: rows of pg_depend.
    """
    if not any(row["refclassid"] == PG_OPERATOR for row in dependencies):
        return {}
    rows = session.read("lookups")["lookups"]
    return {Address(row["classid"], row["objid"], row["objsubid"]): _lookups(row) for row in rows}


def lookups_made_here(connection: Connection) -> frozenset[Lookup]:
    """The lookups of whatever the transaction that is open has made. Its search_path is another one from here on."""
    session = CatalogSession(connection, {**DEPARSING, "pg_migration.made_here": "on"})
    return frozenset[Lookup]().union(*map(_lookups, session.read("lookups")["lookups"]))


def _lookups(row: LookupsRow) -> frozenset[Lookup]:
    operators = {int(oid): name for oid, name in row["operators"].items()}
    used = {(construct, oid) for tree in row["trees"] for construct, oid in lookups(tree) if oid in operators}
    # DISTINCT, GROUP BY and exclusion constraints lean on operators as well.
    used |= {(WRITTEN_OUT, oid) for oid in operators.keys() - {oid for _, oid in used}}
    found = frozenset(Lookup(construct, operators[oid]) for construct, oid in used)
    if any(lookup.by_path for lookup in found):
        return found | {Lookup("function", name) for name in row["functions"]}
    return found
