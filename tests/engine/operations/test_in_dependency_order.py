"""Work side by side: urgent things first, each after what it needs, and nothing is begun after a stop."""

from __future__ import annotations

import threading

import pytest

from moi_backup.operations.in_dependency_order import in_dependency_order

NEEDS = {"heir": frozenset({"parent"}), "parent": frozenset({"absent"})}
CIRCLE = {"a": frozenset({"b"}), "b": frozenset({"a"}), "c": frozenset({"c"})}


def nothing() -> None:
    """Nothing is under way."""


@pytest.mark.parametrize("threads", [1, 3])
def test_a_thing_comes_after_those_it_needs_however_urgent_it_is(threads):
    """What is needed and not among the things counts as done."""
    results = in_dependency_order(str, ["heir", "large", "parent"], needs=NEEDS, threads=threads, stop=nothing)
    assert sorted(results) == ["heir", "large", "parent"]
    assert results.index("parent") < results.index("heir")


def test_the_first_of_the_ready_ones_is_begun_first():
    """One after the other they keep their order."""
    assert in_dependency_order(str, ["c", "a", "b"], needs={}, threads=1, stop=nothing) == ["c", "a", "b"]


@pytest.mark.parametrize("threads", [1, 2])
def test_things_that_need_each_other_are_all_done(threads):
    """Nobody waits for ever."""
    assert sorted(in_dependency_order(str, ["a", "b", "c"], needs=CIRCLE, threads=threads, stop=nothing)) == [*"abc"]


def test_after_an_interruption_nothing_more_is_begun():
    """What is under way is told to stop and waited for."""
    stopped, begun = threading.Event(), list[str]()

    def work(item: str) -> str:
        begun.append(item)
        if item == "a":
            raise KeyboardInterrupt
        assert stopped.wait(10)
        return item

    with pytest.raises(KeyboardInterrupt):
        in_dependency_order(work, ["a", "b", "c", "d"], needs={}, threads=2, stop=stopped.set)
    assert begun == ["a", "b"]
