"""The steps of a run, from the structure to the repair of rows."""
