"""The report of a run: collected from Dagster's records, and written."""
