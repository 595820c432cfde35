"""Enums: the labels in their order."""

import pytest

from pg_migration_tests.postgres.ddl.round_trip import Pair, assert_identical

CASES = {
    "plain": """
        CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s fine', 'Ü %');
    """,
    "label added before another": """
        CREATE TYPE mood AS ENUM ('b', 'c');
        ALTER TYPE mood ADD VALUE 'a' BEFORE 'b';
    """,
    "no labels": """
        CREATE TYPE nothing AS ENUM ();
    """,
    "used by a column default and an array": """
        CREATE TYPE mood AS ENUM ('a', 'b');
        CREATE TABLE t (m mood DEFAULT 'b' NOT NULL, ms mood[] DEFAULT '{a,b}');
    """,
}


@pytest.mark.parametrize("ddl", CASES.values(), ids=CASES.keys())
def test_dumps_alike(pair: Pair, ddl: str) -> None:
    assert_identical(pair, ddl)
