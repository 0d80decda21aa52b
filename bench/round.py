"""What a measure is: a function of a prepared place that gives rows of the final table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from bench.measured import Measured
from bench.place import Place


class Round(NamedTuple):
    """Where, on how many rows, and how often."""

    place: Place
    rows: int
    repeat: int


Measure = Callable[[Round], Iterator[Measured]]
