"""Databases that applications make by their own means, filled with a few rows in most of their tables.

Each module is a program that is given the URL of an empty database. The applications are packages of the extra `dev`; a
process of its own keeps what they do to Python's settings out of the tests.
"""
