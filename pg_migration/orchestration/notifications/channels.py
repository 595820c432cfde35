"""Where notifications go: a Slack webhook, e-mail. Configured by environment variables alone.

dagster-slack posts with a bot's token and Dagster's e-mail sensor sends nothing after a success, so Slack's own client
of incoming webhooks and the standard library's SMTP client do it here.
"""

import os
from collections.abc import Iterator, Mapping

from pg_migration.orchestration.notifications.mail import SMTP_HOST, mail_channel
from pg_migration.orchestration.notifications.message import Channel
from pg_migration.orchestration.notifications.slack import SLACK_WEBHOOK_URL, Slack
from pg_migration.postgres.errors import ConfigurationError


def channels(environment: Mapping[str, str] = os.environ) -> Iterator[Channel | ConfigurationError]:
    """The channels that are configured; in the place of one that can't be used, what is wrong with it."""
    known = {name: value.strip() for name, value in environment.items()}
    if url := known.get(SLACK_WEBHOOK_URL):
        yield Slack(url)
    if known.get(SMTP_HOST):
        try:
            yield mail_channel(known)
        except ConfigurationError as error:
            yield error
