"""A benchmark: whole migrations by this project and by other tools, on the same two servers with the same data."""
