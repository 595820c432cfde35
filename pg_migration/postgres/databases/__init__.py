"""The databases of a server: which there are, and making one that is like another."""
