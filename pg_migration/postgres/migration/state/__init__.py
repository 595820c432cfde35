"""What a run knows and holds, by topic."""
