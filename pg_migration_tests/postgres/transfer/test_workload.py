"""How long a run still takes, by what it did until now."""

import pytest

from pg_migration.postgres.transfer.workload import COUNTING, USUAL, Amount, Work, Workload

MIB = float(2**20)


def workload(workers: int = 2, **amounts: tuple[float, float, float]) -> Workload:
    """Of each kind: all, done, seconds."""
    found = Workload(workers)
    for work, (every, done, seconds) in amounts.items():
        found.amounts[Work[work.upper()]] = Amount(every * MIB, done * MIB, seconds)
    return found


def test_nothing_to_do() -> None:
    assert Workload().share is None
    assert Workload().seconds_left() == 0


@pytest.mark.parametrize(
    "amounts",
    [
        {"copy": (100, 0, 0)},
        {"copy": (100, 0, 60)},
        {"copy": (100, 1, 0.1)},
        {"build": (100, 0, 0)},
        {"copy": (0, 0, 0), "compare": (100, 0, 0)},
    ],
)
def test_nothing_was_measured(amounts: dict[str, tuple[float, float, float]]) -> None:
    assert workload(**amounts).seconds_left() is None


def test_the_rest_goes_as_fast_as_what_is_done() -> None:
    assert workload(2, copy=(100, 25, 10)).seconds_left() == pytest.approx(15)  # 30 s of one worker
    assert workload(1, compare=(100, 50, 7)).seconds_left() == pytest.approx(7)


def test_what_was_not_measured_takes_its_usual_part_of_the_copy() -> None:
    copied = workload(1, copy=(100, 100, 100), build=(200, 0, 0), compare=(100 * COUNTING, 0, 0))
    assert copied.seconds_left() == pytest.approx(200 * USUAL[Work.BUILD] + 100 * COUNTING * USUAL[Work.COMPARE])


def test_what_was_measured_takes_what_it_took() -> None:
    assert workload(1, copy=(100, 100, 100), build=(200, 50, 200)).seconds_left() == pytest.approx(600)


def test_one_index_is_one_worker_s() -> None:
    found = workload(8, copy=(100, 100, 100), build=(100, 0, 0), compare=(80, 0, 0))
    assert found.seconds_left(longest=500) == pytest.approx(500 + 80 * USUAL[Work.COMPARE] / 8)


def test_more_than_was_expected_leaves_nothing_and_never_less() -> None:
    found = workload(copy=(100, 140, 10))
    assert found.seconds_left() == 0
    assert found.share == 1


def test_the_share_counts_every_kind() -> None:
    found = workload(copy=(100, 100, 100), build=(100, 0, 0), compare=(100, 0, 0))
    assert found.share == pytest.approx(USUAL[Work.COPY] / sum(USUAL.values()))
