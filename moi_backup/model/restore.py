"""What a restore is asked, what it plans, and what it did.

One `RestorePlan` is what `--dry-run` prints and what is carried out.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from moi_backup.model.day import DayRange
from moi_backup.model.table import TableName

ConflictPolicy = Literal["replace"]
Action = Literal["create", "replace", "refuse"]
Status = Literal["restored", "failed", "refused"]


class RestoreRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asked for. `schema` puts the tables into a scratch schema instead of their own.

    `in_place` writes into tables that exist, by the policy `on_conflict`; `create_missing` (with a scratch schema)
    makes those that do not. `without_scopes` leaves out the columns of these encryption scopes. `by` is who asks; "":
    the user of the operating system.
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


class TablePlan(msgspec.Struct, frozen=True, kw_only=True):
    """One table: `rows` of the backup go to `target`; `replaces` live rows of the same range go away.

    `refusal` says why the table is left alone (action `refuse`).
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


class TableOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one table.

    `digest` is that of the rows read back, equal to the backup's when `status` is restored. `phases` says where the
    seconds went, for a table that was created.
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
        return not self.problems and all(table.status == "restored" for table in self.tables)

    @property
    def exit_code(self) -> int:
        """0 all restored, 3 some, 1 none."""
        restored = sum(table.status == "restored" for table in self.tables)
        return 0 if self.complete else 3 if restored else 1
