"""What a restore is asked, what it plans, and what it did.

One `RestorePlan` is what `--dry-run` prints and what is carried out.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from moi_backup.model.day import DayRange
from moi_backup.model.table import TableName

ConflictPolicy = Literal["replace"]
Action = Literal["create", "compare", "replace", "refuse"]
Status = Literal["restored", "present", "failed", "refused"]
DamagedPolicy = Literal["fail", "skip", "older"]


class RestoreRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asked for. `schema` puts the tables into a scratch schema instead of their own.

    `in_place` writes into tables that exist, by the policy `on_conflict`; `create_missing` (with a scratch schema)
    makes those that do not. `without_scopes` leaves out the columns of these encryption scopes. `by` is who asks; "":
    the user of the operating system.

    `resume` counts a table that exists as restored when it is wholly the backup's; `jobs` tables are restored side by
    side. `damaged` says what becomes of days whose chunks are damaged: the table fails, they are left out, or their
    newest whole state before this backup takes their place.
    """

    backup: str
    tables: tuple[TableName, ...] | None = None
    days: DayRange | None = None
    schema: str | None = None
    in_place: bool = False
    create_missing: bool = False
    on_conflict: ConflictPolicy | None = None
    reason: str = ""
    wait: float = 0.0
    without_scopes: tuple[str, ...] = ()
    by: str = ""
    resume: bool = False
    jobs: int = 2
    damaged: DamagedPolicy = "fail"


class TablePlan(msgspec.Struct, frozen=True, kw_only=True):
    """One table: `rows` of the backup go to `target`; `replaces` live rows of the same range go away.

    `refusal` says why the table is left alone (action `refuse`). Action `compare`: it exists, and a resumed restore
    looks whether it is wholly the backup's.
    """

    table: TableName
    target: TableName
    action: Action
    rows: int
    days: int
    replaces: int = 0
    refusal: str = ""


class RestorePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What will be done, decided before anything is written. `address` holds no password.

    `notes` says what is left out and why.
    """

    backup: str
    taken_at: str
    address: str
    days: DayRange | None
    tables: tuple[TablePlan, ...]
    notes: tuple[str, ...] = ()


class DayInstead(msgspec.Struct, frozen=True, kw_only=True):
    """A damaged day of which the backup had `lost` rows: `rows` of another backup stand in its place.

    `backup` (taken at `taken_at`) is "" when the day was left out; `identical` tells that the other backup has exactly
    the same rows of it.
    """

    day: str
    lost: int
    rows: int = 0
    backup: str = ""
    taken_at: str = ""
    identical: bool = False


class TableOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one table.

    `digest` is that of the rows read back, equal to that of what was restored when `status` is restored or present
    (it existed and is wholly the backup's). `instead` names the days that are not the backup's own. `phases` says where
    the seconds went, for a table that was created.
    """

    table: TableName
    target: TableName
    status: Status
    rows: int = 0
    replaced: int = 0
    digest: str = ""
    error: str = ""
    seconds: float = 0.0
    phases: dict[str, float] = {}
    instead: tuple[DayInstead, ...] = ()

    @property
    def done(self) -> bool:
        """Whether the table is there and proved."""
        return self.status in ("restored", "present")


class RestoreResult(msgspec.Struct, frozen=True, kw_only=True):
    """All outcomes. `id` names the record that was kept of it; "" when none could be.

    `problems` names definitions (a foreign key, a grant, a sequence) that could not be restored though their rows
    were.
    """

    backup: str
    address: str
    tables: tuple[TableOutcome, ...]
    reason: str = ""
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    id: str = ""

    @property
    def complete(self) -> bool:
        """Whether every table was restored with all that belongs to it."""
        return not self.problems and all(table.done and not table.instead for table in self.tables)

    @property
    def exit_code(self) -> int:
        """0 all restored, 3 some, 1 none."""
        restored = sum(table.done for table in self.tables)
        return 0 if self.complete else 3 if restored else 1
