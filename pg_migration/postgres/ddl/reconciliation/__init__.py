"""Compare two catalogs, and decide what to do to the target; nothing here changes a database."""
