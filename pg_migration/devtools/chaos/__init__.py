"""Accidents done on purpose to running migrations: the exit status tells the truth, and the next run is whole."""
