"""Where Dagster keeps its own records, as dagster.yaml names it."""

import os
from abc import ABC
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagster import Field
from dagster_postgres.utils import get_conn_string

from pg_migration.orchestration.dagster_internals.storing import (
    ConfigurableClass,
    ConfigurableClassData,
    DagsterStorage,
)
from pg_migration.orchestration.storage.event_log import (
    BATCH_SIZE,
    BATCH_SIZE_VARIABLE,
    KeptPostgresStorage,
    KeptSqliteStorage,
)

# SQLAlchemy 2.1 and later take a bare "postgresql" for psycopg 3, which dagster-postgres neither uses nor installs.
SCHEME = "postgresql+psycopg2"

VARIABLES = {
    "hostname": "DAGSTER_POSTGRES_HOST",
    "port": "DAGSTER_POSTGRES_PORT",
    "db_name": "DAGSTER_POSTGRES_DB",
    "username": "DAGSTER_POSTGRES_USER",
    "password": "DAGSTER_POSTGRES_PASSWORD",
}


class DeploymentStorage(DagsterStorage, ConfigurableClass, ABC):
    """PostgreSQL where the environment names a server for it, else SQLite. Only ever made as one of those two.

    Dagster reads the dagster.yaml of the current folder when there is no DAGSTER_HOME, and a setting there that takes
    its value from the environment can't be left out. This chooses, so that one file serves both the deployment and a
    first try on a laptop.
    """

    @classmethod
    def config_type(cls) -> dict[str, object]:
        """``base_dir`` is the folder of SQLite's files; all else comes from the environment."""
        return {"base_dir": Field(str, is_required=False)}

    @classmethod
    def from_config_value(  # type: ignore[override]  # what Dagster wants is a storage, of whichever class
        cls,
        inst_data: ConfigurableClassData | None,
        config_value: Mapping[str, Any],
    ) -> DagsterStorage:
        """The storage that the environment asks for.

        Raises:
            KeyError: naming the variable that is missing, once DAGSTER_POSTGRES_HOST is set.
        """
        os.environ.setdefault(BATCH_SIZE_VARIABLE, BATCH_SIZE)
        if os.environ.get(VARIABLES["hostname"]):
            settings = {name: os.environ[variable] for name, variable in VARIABLES.items()}
            return KeptPostgresStorage(_url(**settings), inst_data)
        home = Path(os.environ.get("DAGSTER_HOME") or ".dagster_home")
        folder = Path(config_value.get("base_dir") or home / "storage")
        return KeptSqliteStorage.from_local(str(folder.absolute()), inst_data)


def _url(hostname: str, port: str, db_name: str, username: str, password: str) -> str:
    return get_conn_string(username, password, hostname, db_name, port, scheme=SCHEME)
