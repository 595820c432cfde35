"""The command that tells the rest of the world where the database is now."""

import subprocess

from pg_migration.postgres.connection.endpoint import Side

COMMAND_SECONDS = 300.0


def run_command(command: str, moved_to: Side) -> str | None:
    """Run a command by a shell, which finds in PG_MIGRATION_MOVED_TO the side that takes writes now.

    Returns:
        What was wrong with it, for people; None where it succeeded.
    """
    told = f"export PG_MIGRATION_MOVED_TO={moved_to.value}\n{command}"
    try:
        done = subprocess.run(
            told,
            shell=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"the command that is to be run at the cutover did not end within {COMMAND_SECONDS:.0f} s"
    except OSError as refusal:
        return f"the command that is to be run at the cutover can't be run: {refusal}"
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or ["it said nothing"]
        return f"the command that is to be run at the cutover ended with status {done.returncode}: {said[0]}"
    return None
