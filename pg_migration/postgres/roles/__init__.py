"""Roles of a server, and what they may do for each other."""
