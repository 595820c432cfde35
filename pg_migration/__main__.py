"""``python -m pg_migration`` is the command ``pg_migration``."""

from pg_migration.cli import main

if __name__ == "__main__":
    main()
