"""The use cases: what a user wants done with two databases."""
