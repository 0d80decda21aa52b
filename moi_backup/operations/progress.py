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


class Within:
    """Tells of an operation inside of another one: its tasks have names of their own, its steps are worth no line."""

    def __init__(self, outer: Progress, *, what: str) -> None:
        self._outer, self._what = outer, what

    def step(self, text: str) -> None:
        """Ignore."""

    def start(self, task: str, *, total: int, unit: str = "rows") -> None:
        """As the outer one, under the name of what this is."""
        self._outer.start(self._named(task), total=total, unit=unit)

    def advance(self, task: str, amount: int) -> None:
        """As the outer one."""
        self._outer.advance(self._named(task), amount)

    def finish(self, task: str, note: str = "") -> None:
        """As the outer one."""
        self._outer.finish(self._named(task), note)

    def warn(self, text: str) -> None:
        """As the outer one."""
        self._outer.warn(text)

    def _named(self, task: str) -> str:
        return f"{task}, {self._what}"
