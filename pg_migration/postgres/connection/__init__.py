"""Connections to servers: addresses, settings, statements, snapshots."""
