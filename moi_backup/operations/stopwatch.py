"""Where the time of a table's restore goes, by phase, in seconds.

`read`: waiting for the repository (fetching, checking, decoding); `load`: writing rows into the database; `proof`:
reading them back and comparing digests; `define` and `indexes`: creating the table, and its keys, indexes and triggers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TypeVar

_Item = TypeVar("_Item")


class Stopwatch:
    """Times of phases that may lie within one another: the time of an inner one does not count for the outer."""

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._inner = [0.0]
        self.phases: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Generator[None]:
        """Measure what happens inside."""
        began = self._clock()
        self._inner.append(0.0)
        try:
            yield
        finally:
            took = self._clock() - began
            self.phases[name] = self.phases.get(name, 0.0) + took - self._inner.pop()
            self._inner[-1] += took

    def waiting(self, name: str, items: Iterable[_Item]) -> Iterator[_Item]:
        """The items; the time until each of them comes counts for the phase."""
        iterator = iter(items)
        while True:
            with self.phase(name):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item
