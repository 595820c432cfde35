"""What changed in the source since it was copied."""
