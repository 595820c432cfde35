"""The Dagster layer: assets, checks, jobs and resources over the PostgreSQL library. No SQL here."""

import gc

# Dagster has been imported: a fifth of a second of each start goes into looking through it for what can go.
gc.freeze()
