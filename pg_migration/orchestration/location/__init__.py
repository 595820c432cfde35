"""What the code location knows before a run: the tables of the source, and what their assets are called."""
