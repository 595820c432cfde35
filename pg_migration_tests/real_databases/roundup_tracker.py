"""Roundup's classic issue tracker, in a database that it makes itself."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from psycopg2.extensions import parse_dsn

ISSUES = 5


def main(url: str) -> None:
    known = parse_dsn(url)
    settings = {
        "rdbms_name": known["dbname"],
        "rdbms_host": known["host"],
        "rdbms_port": known["port"],
        "rdbms_user": known["user"],
        "rdbms_password": known["password"],
        "rdbms_template": "template0",
        "tracker_web": "http://localhost/tracker/",
        "mail_domain": "example.org",
        "mail_host": "localhost",
    }
    commands = ["create user username=anna address=anna@example.org"]
    for number in range(ISSUES):
        commands.append(f"create msg author=1 content=\"words to look for: Grüße '{number}' %s\"")
        commands.append(f'create issue title="issue {number} 日本" priority=bug messages={number + 1} nosy=1,3')
    commands += ["set issue1 status=resolved", "retire issue2", "commit"]
    with TemporaryDirectory() as tracker:
        admin = [Path(sys.executable).with_name("roundup-admin"), "-i", tracker]
        listed = ",".join(f"{name}={value}" for name, value in settings.items())
        run([*admin, "install", "classic", "postgresql", listed])
        run([*admin, "initialise", "secret"], "y\n")  # it drops the empty database and makes it anew
        run(admin, "\n".join(commands))


def run(command: list[str | Path], answers: str = "") -> None:
    """Run a program with its input; what it says matters only when it fails."""
    subprocess.run(command, input=answers, text=True, encoding="utf-8", check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main(sys.argv[1])
