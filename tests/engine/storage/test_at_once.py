"""Requests side by side: the same results in the same order, bounded, and nothing left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from moi_backup.storage.at_once import ASKED_AHEAD, WEIGHT_AHEAD, in_order

THREADS = 4


def running() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("at-once")]


@pytest.mark.parametrize("threads", [1, THREADS])
def test_results_come_in_the_order_of_the_items(threads: int):
    """Whoever is asked first answers last, and is still the first."""

    def slow(number: int) -> int:
        time.sleep(0.002 * (20 - number))
        return number * number

    assert list(in_order(slow, range(20), threads=threads)) == [number * number for number in range(20)]


def test_requests_run_side_by_side():
    """Four requests that wait for each other all begin."""
    together = threading.Barrier(THREADS, timeout=10)
    assert len(list(in_order(lambda _: together.wait(), range(THREADS), threads=THREADS))) == THREADS


@pytest.mark.parametrize("threads", [1, THREADS])
def test_an_error_is_raised_where_its_result_would_have_come(threads: int):
    """What came before it is delivered, and no thread stays."""

    def work(number: int) -> int:
        if number == 3:
            raise OSError("broken")
        return number

    seen: list[int] = []
    with pytest.raises(OSError, match="broken"):
        seen.extend(in_order(work, range(100), threads=threads))
    assert seen == [0, 1, 2]
    assert running() == []


def begun_ahead(weight: Callable[[int], int]) -> int:
    """How many items are begun when the first result is taken and nobody takes a second."""
    begun: list[int] = []
    results = in_order(begun.append, range(1000), threads=THREADS, weight=weight)
    next(results)
    time.sleep(0.1)
    results.close()
    return len(begun)


def test_what_is_begun_and_not_taken_is_bounded():
    """A reader that stops to work does not fill the memory: neither by number nor by weight."""
    assert begun_ahead(lambda _: 0) <= THREADS * ASKED_AHEAD
    assert begun_ahead(lambda _: WEIGHT_AHEAD // 2) <= 2
    assert begun_ahead(lambda _: 2 * WEIGHT_AHEAD) == 1


def test_results_nobody_takes_are_forgotten():
    """Closed early, every result that was made and not taken is handed back, each once."""
    made: list[int] = []
    forgotten: list[int] = []

    def make(number: int) -> int:
        made.append(number)
        return number

    results = in_order(make, range(1000), threads=THREADS, forget=forgotten.append)
    taken = [next(results), next(results)]
    results.close()
    assert sorted(taken + forgotten) == sorted(made)
    assert running() == []
