"""Messages by mail."""

import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from pg_migration.orchestration.notifications.message import TIMEOUT_SECONDS, Message, NotSent, without
from pg_migration.orchestration.settings import Settings, listed
from pg_migration.postgres.errors import ConfigurationError

# Of each of the two ways of TLS, and of none, with the port that servers listen on for it.
PORTS = {"starttls": 587, "tls": 465, "none": 25}


@dataclass(frozen=True)
class Mail:
    """A mail server, and who gets mail through it. ``tls`` is one of PORTS."""

    host: str
    port: int
    tls: str
    sender: str
    recipients: tuple[str, ...]
    user: str
    password: str = field(repr=False)
    name = "e-mail"

    def send(self, message: Message) -> None:
        """Send one message to all recipients, as plain text with HTML as an alternative."""
        try:
            with self._connect() as server:
                if self.tls == "starttls":
                    server.starttls(context=ssl.create_default_context())
                if self.user:
                    server.login(self.user, self.password)
                refused = server.send_message(self._letter(message))
        except (OSError, ValueError, smtplib.SMTPException) as error:
            raise NotSent(without(f"{type(error).__name__}: {error}", self.password)) from None
        if refused:
            raise NotSent(f"the server refused {', '.join(refused)}")

    def _connect(self) -> smtplib.SMTP:
        if self.tls == "tls":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context())
        return smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_SECONDS)

    def _letter(self, message: Message) -> EmailMessage:
        letter = EmailMessage()
        letter["Subject"] = " ".join(message.subject.split())
        letter["From"], letter["To"] = self.sender, ", ".join(self.recipients)
        letter["Date"], letter["Message-ID"] = formatdate(), make_msgid()
        # Mail servers that answer out of office leave such mail alone. RFC 3834.
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(message.text)
        letter.add_alternative(message.html, subtype="html")
        return letter


def mail_channel(settings: Settings) -> Mail:
    """The mail server that the settings name.

    Raises:
        ConfigurationError: when one of them can't be used, or one is missing.
    """
    tls = settings.smtp_tls.lower()
    if tls not in PORTS:
        raise ConfigurationError(f"PG_MIGRATION_SMTP_TLS is {tls!r}, but must be one of {', '.join(PORTS)}")
    port = settings.smtp_port or str(PORTS[tls])
    if not port.isdecimal():
        raise ConfigurationError(f"PG_MIGRATION_SMTP_PORT is {port!r}, but must be a number")
    sender, recipients = settings.mail_from, listed(settings.mail_to)
    needed = {"PG_MIGRATION_MAIL_FROM": sender, "PG_MIGRATION_MAIL_TO": recipients}
    if missing := [name for name, value in needed.items() if not value]:
        raise ConfigurationError(f"PG_MIGRATION_SMTP_HOST is set, but not {' and '.join(missing)}: no mail can be sent")
    return Mail(settings.smtp_host, int(port), tls, sender, recipients, settings.smtp_user, settings.smtp_password)
