"""``python -m pg_migration`` is the command ``pg_migration``."""

from pg_migration.cli.commands import main

if __name__ == "__main__":
    main()
