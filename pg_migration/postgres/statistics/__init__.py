"""The planner's statistics: read from the source, and given to the target instead of collecting them there."""
