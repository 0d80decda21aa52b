"""One line of the result."""

from __future__ import annotations

from typing import NamedTuple

from bench.timing import Sample


class Measured(NamedTuple):
    """Ours against a peer (or against nothing), and the aim for the ratio (or the value)."""

    what: str
    ours: Sample
    unit: str
    peer: str = ""
    theirs: Sample | None = None
    aim: float | None = None

    @property
    def ratio(self) -> float:
        """Ours by theirs, or ours alone where there is no peer."""
        return self.ours.median / self.theirs.median if self.theirs else self.ours.median

    @property
    def verdict(self) -> str:
        """Whether the aim is met."""
        return "" if self.aim is None else "met" if self.ratio <= self.aim else "missed"
