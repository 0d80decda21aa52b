"""Progress of long operations on standard error: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from moi_backup.cli.output import visible
from moi_backup.cli.wording import amount
from moi_backup.operations.progress import Progress, Silent

if TYPE_CHECKING:
    from rich.progress import TaskID

_LINE_SECONDS = 10.0


def listen(*, quiet: bool, verbose: bool) -> Progress:
    """The listener for this terminal, or for none."""
    if quiet:
        return Silent()
    return Bars() if sys.stderr.isatty() else Lines(verbose=verbose)


@dataclass
class _Task:
    total: int
    unit: str
    began: float
    told: float
    done: int = 0


class Warnings(Silent):
    """A line for what a person should know, and nothing else: for commands that answer at once."""

    def warn(self, text: str) -> None:
        """A line."""
        _tell(f"Warning: {text}")


class Lines:
    """A line for every task that ends, and one every ten seconds while it lasts; steps too when `verbose`."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
        self._tasks: dict[str, _Task] = {}

    def step(self, text: str) -> None:
        """A line, when verbose."""
        if self._verbose:
            _tell(text)

    def start(self, task: str, *, total: int, unit: str = "rows") -> None:
        """Remember the task."""
        now = time.monotonic()
        self._tasks[task] = _Task(total, unit, now, now)

    def advance(self, task: str, amount: int) -> None:
        """A line, when the last one is long past."""
        known = self._tasks[task]
        known.done += amount
        if time.monotonic() - known.told >= _LINE_SECONDS:
            known.told = time.monotonic()
            _tell(f"{task}: {_of(known)}")

    def finish(self, task: str, note: str = "") -> None:
        """A line with what was done."""
        known = self._tasks.pop(task)
        seconds = time.monotonic() - known.began
        text = f"{task}: {amount(known.done, known.unit)} in {seconds:.1f} s"
        _tell(f"{text}, {note}" if note else text)

    def warn(self, text: str) -> None:
        """A line."""
        _tell(f"Warning: {text}")


class Bars:
    """Bars of rich, removed when their task is done; what is said in words stays."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

        self._console = Console(stderr=True, highlight=False)
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[told]}", markup=False),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._ids: dict[str, TaskID] = {}
        self._tasks: dict[str, _Task] = {}

    def step(self, text: str) -> None:
        """A line above the bars."""
        self._say(text)

    def start(self, task: str, *, total: int, unit: str = "rows") -> None:
        """A new bar."""
        if not self._tasks:
            self._bars.start()
        now = time.monotonic()
        self._tasks[task] = _Task(total, unit, now, now)
        self._ids[task] = self._bars.add_task(visible(task), total=max(total, 1), told="")

    def advance(self, task: str, amount: int) -> None:
        """The bar grows."""
        known = self._tasks[task]
        known.done += amount
        self._bars.update(self._ids[task], completed=known.done, told=_of(known))

    def finish(self, task: str, note: str = "") -> None:
        """The bar goes, a line stays."""
        known = self._tasks.pop(task)
        self._bars.remove_task(self._ids.pop(task))
        seconds = time.monotonic() - known.began
        text = f"{task}: {amount(known.done, known.unit)} in {seconds:.1f} s"
        self._say(f"{text}, {note}" if note else text)
        if not self._tasks:
            self._bars.stop()

    def warn(self, text: str) -> None:
        """A line above the bars."""
        self._say(f"Warning: {text}")

    def _say(self, text: str) -> None:
        self._console.print(visible(text), markup=False, soft_wrap=True)


def _of(task: _Task) -> str:
    return f"{amount(task.done, task.unit)} of {amount(task.total, task.unit)}"


def _tell(text: str) -> None:
    sys.stderr.write(f"{visible(text)}\n")
    sys.stderr.flush()
