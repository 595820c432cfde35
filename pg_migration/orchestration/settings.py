"""Every environment variable that is ours, with its default. docs/parameters.md says what each of them means."""

import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from pg_migration.postgres.migration.definition import DEFAULT_SCHEMA

PREFIX = "PG_MIGRATION_"


class Settings(BaseSettings):
    """What the environment says: `current` reads it. A blank variable counts as one that is not set.

    These are texts, as they were given less the blanks around them. Who uses one says what is wrong with it: a model
    is made as a whole or not at all, and a wrong port of the mail server must not keep anybody from the databases.
    """

    model_config = SettingsConfigDict(
        alias_generator=lambda field: f"{PREFIX}{field.upper()}",  # a prefix is not looked for in exact case
        case_sensitive=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    source_url: str = Field(default="", repr=False)
    target_url: str = Field(default="", repr=False)
    replication_url: str = Field(default="", repr=False)
    way_back_url: str = Field(default="", repr=False)
    source_schema: str = DEFAULT_SCHEMA
    target_schema: str | None = None
    reports: str = ""
    reports_url: str = ""

    migrate_cron: str = "0 2 * * *"
    validate_cron: str = "30 * * * *"
    prune_cron: str = "0 5 * * 0"
    timezone: str = "UTC"
    run_config: str = ""
    transform: str = ""
    on_cutover: str = ""

    notify_on: str = "always"
    slack_webhook_url: str = Field(default="", repr=False)
    smtp_host: str = ""
    smtp_tls: str = "starttls"
    smtp_port: str = ""
    smtp_user: str = ""
    smtp_password: str = Field(default="", repr=False)
    mail_from: str = ""
    mail_to: str = ""
    ui_url: str = ""
    location: str = "pg_migration.definitions"

    owners: str = ""
    fresh_within_hours: str = ""

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, given: Mapping[str, str]) -> Mapping[str, Any]:
        return {name: text for name, value in given.items() if (text := value.strip())}


def current() -> Settings:
    """What the environment says now. The model is made anew only when that has changed, as it takes a millisecond."""
    return _made_of(tuple((name, value) for name, value in os.environ.items() if name.startswith(PREFIX)))


@lru_cache(maxsize=1)
def _made_of(_: tuple[tuple[str, str], ...]) -> Settings:
    return Settings()


def listed(text: str) -> tuple[str, ...]:
    """The values of a variable that holds several, separated by commas."""
    return tuple(value.strip() for value in text.split(",") if value.strip())
