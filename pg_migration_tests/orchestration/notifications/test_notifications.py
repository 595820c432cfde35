"""What people are told of a run that ended, by a real mail server and a real webhook."""

import json
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword

from pg_migration.devtools.servers import HOST, free_port
from pg_migration.orchestration.notifications import notify
from pg_migration.orchestration.notifications.channels import channels
from pg_migration.orchestration.notifications.mail import Mail
from pg_migration.orchestration.notifications.message import Message, NotSent
from pg_migration.orchestration.pair import Pair
from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.migration import Options
from pg_migration.postgres.migration.live.moved import Moved
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration_tests.conftest import run
from pg_migration_tests.orchestration.harness import Platform

# What the mail server says of itself; that clients may do without TLS is meant.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")

ROOT = Path(__file__).parents[3]
USER, PASSWORD = "robot", "l0ng & secret"
PATH = "/services/T0/B0/s3cr3t"


@dataclass
class Post:
    """What people got."""

    letters: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    status: int = 200

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        assert isinstance(content, bytes)
        letter = message_from_bytes(content, policy=default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        self.recipients += envelope.rcpt_tos
        return "250 OK"


@pytest.fixture(scope="module")
def offices() -> Iterator[tuple[Post, int, int]]:
    """A mail server that wants a login and a webhook, with what came to them and their ports."""
    post = Post()

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == PATH and post.status == 200:
                post.messages.append(json.loads(body)["text"])
            self.send_response(post.status if self.path == PATH else 404)
            self.end_headers()
            self.wfile.write(b"ok" if post.status == 200 else f"no_service {PATH}".encode())

        def log_message(self, *_: object) -> None:
            pass

    def login(_server: Any, _session: Any, _envelope: Any, _mechanism: Any, data: Any) -> AuthResult:
        known = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=known, handled=False)

    web = ThreadingHTTPServer((HOST, 0), Webhook)
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    smtp = Controller(
        post,
        hostname=HOST,
        port=free_port(),
        server_hostname=HOST,
        authenticator=login,
        auth_required=True,
        auth_require_tls=False,
    )
    smtp.start()
    yield post, smtp.port, web.server_port
    smtp.stop()
    web.shutdown()
    web.server_close()
    thread.join()


@pytest.fixture
def post(offices: tuple[Post, int, int], shop: Platform) -> Post:
    """Both channels, configured for the platform `shop`."""
    post, smtp, web = offices
    post.__init__()  # type: ignore[misc]
    shop.set(
        SLACK_WEBHOOK_URL=f"http://{HOST}:{web}{PATH}",
        SMTP_HOST=HOST,
        SMTP_PORT=str(smtp),
        SMTP_TLS="none",
        SMTP_USER=USER,
        SMTP_PASSWORD=PASSWORD,
        MAIL_FROM="robot@example.org",
        MAIL_TO="ann@example.org, bob@example.org",
        NOTIFY_ON=None,
        UI_URL="http://dagster.example.org/",
    )
    return post


def parts(letter: EmailMessage) -> tuple[str, str]:
    """Plain text and HTML."""
    plain, page = (letter.get_body((kind,)) for kind in ("plain", "html"))
    assert plain is not None
    assert page is not None
    return plain.get_content(), page.get_content()


def secrets_in(text: str) -> list[str]:
    return [secret for secret in (PASSWORD, PATH) if secret in text]


def test_success_and_failure_reach_both_channels(shop: Platform, post: Post, tmp_path: Path) -> None:
    """A comparison tells only when something is wrong, where that is asked for."""
    shop.set(REPORTS=str(tmp_path))
    done = shop.migrate()
    assert done.success
    (letter,), (message,) = post.letters, post.messages
    database = shop.target.psql("SELECT current_database()")
    assert letter["Subject"] == f"pg_migration: migrate succeeded: {database}"
    assert post.recipients == ["ann@example.org", "bob@example.org"]
    plain, page = parts(letter)
    for text in (plain, page, message):
        assert "public.orders" in text
        assert "4,000" in text
        assert "2 passed" in text
        assert f"http://dagster.example.org/runs/{done.result.run_id}" in text
        assert str(tmp_path / done.result.run_id / "report.html") in text
    assert message.startswith(f"*{letter['Subject']}*\n```")
    assert "<td>public.customers</td>" in page

    shop.set(REPORTS="off", NOTIFY_ON="failure")
    assert shop.validate().success
    assert len(post.letters) == len(post.messages) == 1
    shop.target.psql("DELETE FROM orders WHERE id = 7; DROP INDEX orders_placed")
    done = shop.validate()
    assert not done.success
    assert [letter["Subject"].split(": ")[1] for letter in post.letters] == ["migrate succeeded", "validate FAILED"]
    plain, page = parts(post.letters[1])
    for text in (plain, page, post.messages[1]):
        assert "public.orders: 4,000 rows in the source, 3,999 in the target" in text
        assert "index orders_placed" in text
        assert text.index("public.orders") < text.index("public.customers")
    assert not secrets_in(done.stored)


def test_a_refused_migration_is_told(shop: Platform, post: Post) -> None:
    shop.set(TARGET_URL="postgresql://ann:sesame@127.0.0.1:1/shop")
    assert not shop.migrate().success
    plain, _ = parts(post.letters[0])
    assert "can't connect to the target database postgresql://ann@127.0.0.1:1/shop" in plain
    assert "sesame" not in plain + post.messages[0]


@pytest.mark.parametrize("broken", ["slack", "mail", "password", "refused", "incomplete"])
def test_a_broken_channel_breaks_nothing(shop: Platform, post: Post, broken: str) -> None:
    nowhere = str(free_port())
    if broken == "slack":
        shop.set(SLACK_WEBHOOK_URL=f"http://{HOST}:{nowhere}{PATH}")
    elif broken == "mail":
        shop.set(SMTP_PORT=nowhere)
    elif broken == "password":
        shop.set(SMTP_PASSWORD="wrong " + PASSWORD)
    elif broken == "refused":
        post.status = 500
    else:
        shop.set(MAIL_TO=None)
    done = shop.repair(workers=0)
    assert not done.success
    told = [warning for warning in done.warnings if "was not sent" in warning or "PG_MIGRATION_MAIL_TO" in warning]
    assert len(told) == 1
    assert not secrets_in(done.stored)
    by_slack = broken in ("mail", "password", "incomplete")
    assert (len(post.messages), len(post.letters)) == ((1, 0) if by_slack else (0, 1))


def test_the_sensor_tells_what_a_run_could_not(shop: Platform, post: Post) -> None:
    """A run whose process died told nobody; one that failed by itself has told, and the owner tells of its parts."""
    done = shop.repair(workers=0)
    assert len(post.letters) == 1
    job = shop.definitions.resolve_job_def("migrate")
    killed = shop.instance.create_run_for_job(job, tags={"pg_migration/notified": f"{done.result.run_id} failed"})
    shop.instance.report_run_failed(killed, "the process of the run was killed")
    part = shop.instance.create_run_for_job(job, tags={"pg_migration/snapshot_of": killed.run_id})
    shop.instance.report_run_failed(part, "the owner has ended")
    sensor: Any = shop.definitions.get_repository_def().get_sensor_def("failed_runs")
    for run_id in (done.result.run_id, part.run_id, killed.run_id):
        run = shop.instance.get_run_by_id(run_id)
        (entry,) = shop.instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
        assert run is not None
        assert entry.dagster_event is not None
        context = dg.build_run_status_sensor_context("failed_runs", entry.dagster_event, shop.instance, run)
        sensor(context.for_run_failure())
    assert [letter["Subject"].split(": ")[1] for letter in post.letters] == ["repair FAILED", "migrate FAILED"]
    assert "the process of the run was killed" in post.messages[1]


def test_the_command_line_tells_once(shop: Platform, post: Post, tmp_path: Path, programs: Path) -> None:
    """From cron, without a daemon."""
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}")
    command = [programs / "dagster", "job", "execute", "-m", "pg_migration.definitions", "-j", "migrate"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [letter["Subject"].split(": ")[1] for letter in post.letters] == ["migrate succeeded"]
    assert len(post.messages) == 1
    assert not secrets_in(done.stdout + done.stderr)
    assert shop.target.psql("SELECT count(*) FROM orders") == "4000"


def test_a_canceled_run_is_no_success(shop: Platform, post: Post) -> None:
    """Canceled between two steps, when no step fails."""
    canceled: list[str] = []

    def cancel() -> None:
        (run,) = shop.instance.get_runs()
        canceled.append(run.run_id)
        shop.instance.report_run_canceling(run)

    shop.after("summary", cancel)
    shop.migrate()
    assert canceled
    assert "migrate FAILED" in post.letters[0]["Subject"]
    assert "the run was canceled" in post.messages[0]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with")
@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_encrypted_mail(tls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate is checked: one that nobody trusts is refused."""
    certificate, key = tmp_path / "mail.pem", tmp_path / "mail.key"
    made = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    run(["openssl", *made.split(), "-keyout", key, "-out", certificate])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    options = {"ssl_context": context} if tls == "tls" else {"tls_context": context, "require_starttls": True}
    post = Post()
    server = Controller(post, hostname=HOST, port=free_port(), server_hostname="localhost", **options)
    server.start()
    try:
        mail = Mail("localhost", server.port, tls, "a@example.org", ("b@example.org",), "", "")
        with pytest.raises(NotSent, match="certificate verify failed"):
            mail.send(Message("one", "text", "<p>text</p>"))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        mail.send(Message("two", "text", "<p>text</p>"))
    finally:
        server.stop()
    assert [letter["Subject"] for letter in post.letters] == ["two"]


@pytest.fixture
def smtp(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that names a mail server, and nothing else of ours."""
    for name in [name for name in os.environ if name.startswith("PG_MIGRATION_")]:
        monkeypatch.delenv(name)
    for name, value in {"SMTP_HOST": "mail", "MAIL_FROM": "a@b", "MAIL_TO": "c@d"}.items():
        monkeypatch.setenv(f"PG_MIGRATION_{name}", value)
    return monkeypatch


@pytest.mark.parametrize(("tls", "port"), [(None, 587), ("TLS", 465), ("none", 25)])
def test_ports(smtp: pytest.MonkeyPatch, tls: str | None, port: int) -> None:
    if tls:
        smtp.setenv("PG_MIGRATION_SMTP_TLS", tls)
    (mail,) = channels()
    assert isinstance(mail, Mail)
    assert (mail.port, mail.tls) == (port, (tls or "starttls").lower())


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("SMTP_TLS", "ssl", "must be one of starttls, tls, none"), ("SMTP_PORT", "smtp", "must be a number")],
)
def test_settings_that_can_not_be_used(smtp: pytest.MonkeyPatch, name: str, value: str, said: str) -> None:
    smtp.setenv(f"PG_MIGRATION_{name}", value)
    (problem,) = channels()
    assert isinstance(problem, ConfigurationError)
    assert f"PG_MIGRATION_{name} is '{value}'" in str(problem)
    assert said in str(problem)


def test_nothing_is_configured(smtp: pytest.MonkeyPatch) -> None:
    smtp.setenv("PG_MIGRATION_SMTP_HOST", " ")
    assert not list(channels())


@pytest.mark.parametrize(
    ("job", "moved", "told"),
    [
        ("migrate", False, True),
        ("validate", False, False),
        ("cutover", True, True),
        ("cutover", False, False),  # it was only tried
        ("go_back", True, True),
        ("abandon_replication", False, True),
        ("release", False, True),
    ],
)
def test_which_success_is_news(monkeypatch: pytest.MonkeyPatch, job: str, moved: bool, told: bool) -> None:
    sent: list[str] = []
    monkeypatch.setattr(notify, "channels", lambda: ["a channel"])
    monkeypatch.setattr(notify, "send", lambda message, *_: sent.append(message.text))
    pair = Pair(name="shop", source="NOWHERE", target="NOWHERE")
    run = MigrationRun("run", Options(), lambda: pair.migration(Options()))
    if moved:
        run.outcomes.cutover = Moved(3, "count", 0.5, {}, 0, [])
        run.outcomes.notes.append(str(run.outcomes.cutover))
    record = dg.DagsterRun(job_name=pair.named(job))
    with dg.DagsterInstance.ephemeral() as instance:
        notify.notify_of(run, pair, record, instance, [], pytest.fail)
    assert len(sent) == told
    assert not moved or "writers waited for 0.50 s" in sent[0]
