"""The life of a run of Dagster: its resource, its beginning and end, failures, other runs beside it."""
