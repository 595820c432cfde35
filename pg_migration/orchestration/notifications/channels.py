"""Where notifications go: a Slack webhook, e-mail. Configured by environment variables alone.

dagster-slack posts with a bot's token and Dagster's e-mail sensor sends nothing after a success, so Slack's own client
of incoming webhooks and the standard library's SMTP client do it here.
"""

from collections.abc import Iterator

from pg_migration.orchestration.notifications.mail import mail_channel
from pg_migration.orchestration.notifications.message import Channel
from pg_migration.orchestration.notifications.slack import Slack
from pg_migration.orchestration.settings import current
from pg_migration.postgres.errors import ConfigurationError


def channels() -> Iterator[Channel | ConfigurationError]:
    """The channels that are configured; in the place of one that can't be used, what is wrong with it."""
    settings = current()
    if settings.slack_webhook_url:
        yield Slack(settings.slack_webhook_url)
    if settings.smtp_host:
        try:
            yield mail_channel(settings)
        except ConfigurationError as error:
            yield error
