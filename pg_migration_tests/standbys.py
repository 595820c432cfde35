"""Hot standbys of the session's servers."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pg_migration.devtools import servers
from pg_migration_tests.conftest import SETTINGS, PostgresServer


@contextmanager
def standby_of(
    repeated: PostgresServer, folder: Path, slot: str | None = None, **settings: str
) -> Iterator[PostgresServer]:
    """A server that repeats what another one does, as long as the block lasts.

    Args:
        slot: of the other one, which it reads.
        settings: other ones than those of all servers.
    """
    primary = repeated.server
    place = servers.temporary_folder("standby-", primary.account, folder)
    made = servers.Server(primary.installation, place, primary.account, {**SETTINGS, **settings})
    shutil.copy(primary.folder / "password", made.folder)
    for path in (made.folder, made.folder / "password"):
        os.chown(path, made.account.uid, made.account.gid)
    copied = made.account.run(
        [
            *(repeated.bindir / "pg_basebackup", "-d", primary.url(), "-D", made.data),
            *("--write-recovery-conf", "--checkpoint", "fast", "--no-sync"),
            *(("--slot", slot) if slot else ()),
        ]
    )
    assert copied.returncode == 0, copied.stderr
    made.start()
    try:
        yield PostgresServer(made)
    finally:
        made.stop("immediate")
