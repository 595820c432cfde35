"""One database takes over from the other, in either direction."""
