"""What an operation tells while it works. The command line shows it; without a listener it is silent."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A listener. Tasks are named; amounts are rows or bytes."""

    def step(self, text: str) -> None:
        """Something worth a line has begun or was found."""
        ...

    def start(self, task: str, *, total: int, unit: str = "rows") -> None:
        """A long task begins."""
        ...

    def advance(self, task: str, amount: int) -> None:
        """The task went on by so much."""
        ...

    def finish(self, task: str, note: str = "") -> None:
        """The task is done."""
        ...

    def warn(self, text: str) -> None:
        """Something a person should know, though the operation goes on."""
        ...


class Silent:
    """Nobody listens."""

    def step(self, text: str) -> None:
        """Ignore."""

    def start(self, task: str, *, total: int, unit: str = "rows") -> None:
        """Ignore."""

    def advance(self, task: str, amount: int) -> None:
        """Ignore."""

    def finish(self, task: str, note: str = "") -> None:
        """Ignore."""

    def warn(self, text: str) -> None:
        """Ignore."""
