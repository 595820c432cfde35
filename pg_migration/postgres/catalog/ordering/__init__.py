"""The order in which objects are made."""
