"""How the ranges of a table are divided among runs."""

import pytest

from pg_migration.postgres.transfer.sharing import divide


@pytest.mark.parametrize(
    ("chunks", "shares", "expected"),
    [
        ([1, 1, 1, 1, 1, 1], 3, [2, 2, 2]),
        ([1, 1, 1, 1, 1], 2, [2, 3]),
        ([1, 1], 8, [1, 1]),
        ([5, 5, 5], 1, [3]),
        ([9, 1, 1, 1], 2, [1, 3]),
        ([100, 1], 2, [1, 1]),
        ([1, 100, 1], 2, [1, 2]),
    ],
)
def test_neighbours_stay_together(chunks: list[int], shares: int, expected: list[int]) -> None:
    ranges = {f"range {n}": count for n, count in enumerate(chunks)}
    groups = divide(ranges, shares)
    assert [key for group in groups for key in group] == list(ranges)
    assert [len(group) for group in groups] == expected
