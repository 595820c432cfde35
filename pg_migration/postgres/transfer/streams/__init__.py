"""Copy the rows of one chunk."""
