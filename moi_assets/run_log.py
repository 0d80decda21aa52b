"""What the engine tells, put into the log of a Dagster run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from moi_backup.errors import MoiError


class RunLog:
    """A `Progress` of the engine for a run's log. Amounts are left out: every line is an event in the database."""

    def __init__(self, log: dg.DagsterLogManager) -> None:
        self._log = log

    def step(self, text: str) -> None:
        """Something has begun or was found."""
        self._log.info(text)

    def start(self, task: str, *, total: int, unit: str = "rows") -> None:
        """A long task begins."""
        self._log.info(f"{task}: {total:,} {unit}")

    def advance(self, task: str, amount: int) -> None:
        """Not told."""

    def finish(self, task: str, note: str = "") -> None:
        """The task is done."""
        self._log.info(f"{task}: done{f', {note}' if note else ''}")

    def warn(self, text: str) -> None:
        """A person should know this."""
        self._log.warning(text)


@contextmanager
def plain_failures() -> Iterator[None]:
    """Show an engine error by its words (what happened, what it means, what to do) instead of a traceback."""
    try:
        yield
    except MoiError as error:
        raise dg.Failure(
            description=str(error),
            metadata={"error": type(error).__name__, "command line exit code": error.exit_code},
            allow_retries=False,
        ) from error


def reason_of(context: dg.AssetExecutionContext, given: str) -> str:
    """The reason as the repository keeps it: a person's words, and the run they came from."""
    return f"{given.strip() or 'no reason given'} (Dagster run {context.run.run_id})"
