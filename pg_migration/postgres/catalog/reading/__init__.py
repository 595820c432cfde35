"""Questions to the system catalogs, and what the answers are like."""
