"""The command ``pg_migration``: the jobs, and what they left behind, for people and scripts in a terminal."""
