"""What a recovery drill was asked and what it found: the report that stays in the repository.

A verdict is `passed`, `warning` (the recovery works, and a person should look), `failed` (it does not work as it
should) or `unknown` (it could not be looked at, which is told and fails nothing).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from moi_backup.model.table import TableName

CheckVerdict = Literal["passed", "warning", "failed", "unknown"]
DrillVerdict = Literal["passed", "warning", "failed"]
_EXIT_CODES: dict[DrillVerdict, int] = {"passed": 0, "warning": 3, "failed": 1}


class DrillRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which backup is restored, which of its tables (None: all), and whether the database is left for looking at."""

    backup: str = "latest"
    tables: tuple[TableName, ...] | None = None
    keep_database: bool = False


class DrillCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One statement about the recovery: of one table, or of all of it (`table` null)."""

    statement: str
    table: str | None = None
    verdict: CheckVerdict
    text: str
    facts: dict[str, int | float | str] = {}


class DrilledTable(msgspec.Struct, frozen=True, kw_only=True):
    """One table: rows of the backup and rows found, bytes as stored, seconds of its recovery in all and by phase.

    `digest` is the backup's, `equal` whether the committed rows have it.
    """

    name: str
    data_class: str
    status: str
    rows: int
    rows_found: int
    bytes: int
    digest: str
    equal: bool
    error: str
    seconds: float
    phases: dict[str, float]


class ClassRecovery(msgspec.Struct, frozen=True, kw_only=True):
    """The recovery of all tables of a class, measured or (when not all were drilled) forecast, beside its objective."""

    data_class: str
    seconds: float
    forecast: bool
    objective: float
    within: bool


class RecoveryTime(msgspec.Struct, frozen=True, kw_only=True):
    """How long the recovery took, from the plan to the commit and the statistics after it; times in seconds.

    `phases` sums those of the tables, and `rest` is what belongs to none. `everything` is the time for every table of
    the backup: measured, or forecast by rows and by bytes, the slower of the two.
    """

    seconds: float
    rows: int
    bytes: int
    rows_per_second: float
    bytes_per_second: float
    phases: dict[str, float]
    everything: float
    forecast: bool
    classes: tuple[ClassRecovery, ...]


class DrillServer(msgspec.Struct, frozen=True, kw_only=True):
    """Where the drill ran. `address` holds no password; `temporary`: the server was started for it and is gone."""

    address: str
    version: str
    database: str
    temporary: bool
    kept: bool


class DrillReport(msgspec.Struct, frozen=True, kw_only=True):
    """A drill that came to its end. Times are ISO 8601 in UTC with offset.

    `limited`: the backup covers only some tables or days; `partial`: only some of its tables were drilled.
    """

    id: str
    backup: str
    taken_at: str
    limited: bool
    partial: bool
    started_at: str
    finished_at: str
    verdict: DrillVerdict
    server: DrillServer
    recovery: RecoveryTime
    tables: tuple[DrilledTable, ...]
    checks: tuple[DrillCheck, ...]
    notes: tuple[str, ...]
    format: int = 1

    @property
    def exit_code(self) -> int:
        """0 passed, 3 passed with warnings, 1 failed."""
        return _EXIT_CODES[self.verdict]


def overall(checks: Iterable[DrillCheck]) -> DrillVerdict:
    """The verdict of a drill: the worst of its checks. What is unknown neither passes nor fails it."""
    found = {check.verdict for check in checks}
    return "failed" if "failed" in found else "warning" if "warning" in found else "passed"
