"""One point in time that every reader of the source sees."""
