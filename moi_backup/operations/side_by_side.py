"""Listeners between several threads and one: one call at a time, and none any more once the work is to stop."""

from __future__ import annotations

import threading

from moi_backup.errors import Interrupted
from moi_backup.operations.progress import Progress


class OneAtATime:
    """Passes on what it hears from any thread, one call after the other."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._lock = progress, threading.Lock()

    def step(self, text: str) -> None:
        """Pass it on."""
        with self._lock:
            self._progress.step(text)

    def start(self, task: str, *, total: int, unit: str = "rows") -> None:
        """Pass it on."""
        with self._lock:
            self._progress.start(task, total=total, unit=unit)

    def advance(self, task: str, amount: int) -> None:
        """Pass it on."""
        with self._lock:
            self._progress.advance(task, amount)

    def finish(self, task: str, note: str = "") -> None:
        """Pass it on."""
        with self._lock:
            self._progress.finish(task, note)

    def warn(self, text: str) -> None:
        """Pass it on."""
        with self._lock:
            self._progress.warn(text)


class Stopping:
    """A listener that ends the work that tells it how it goes on, once `stop` was called."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._stopped = progress, False

    def stop(self) -> None:
        """From now on a thread that starts or goes on with a task is interrupted, and its transaction rolled back."""
        self._stopped = True

    def step(self, text: str) -> None:
        """Pass it on."""
        self._progress.step(text)

    def start(self, task: str, *, total: int, unit: str = "rows") -> None:
        """Pass it on; raises Interrupted when stopped."""
        self._go_on()
        self._progress.start(task, total=total, unit=unit)

    def advance(self, task: str, amount: int) -> None:
        """Pass it on; raises Interrupted when stopped."""
        self._go_on()
        self._progress.advance(task, amount)

    def finish(self, task: str, note: str = "") -> None:
        """Pass it on."""
        self._progress.finish(task, note)

    def warn(self, text: str) -> None:
        """Pass it on."""
        self._progress.warn(text)

    def _go_on(self) -> None:
        if self._stopped:
            raise Interrupted("The restore was stopped.", meaning="The table is not there.")
