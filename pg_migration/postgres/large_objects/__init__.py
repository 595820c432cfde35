"""Large objects: which there are, how they are copied, whose they are in the target, and whether they are the same."""
