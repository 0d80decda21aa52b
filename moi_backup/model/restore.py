"""What a restore is asked, what it plans, and what it did.

One `RestorePlan` is what `--dry-run` prints and what is carried out.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from moi_backup.model.column_plan import ColumnDrift
from moi_backup.model.conflict_policy import ConflictPolicy
from moi_backup.model.day import DayRange
from moi_backup.model.restore_record import FileReference
from moi_backup.model.table import TableName

Action = Literal["create", "compare", "in-place", "refuse"]
Status = Literal["restored", "present", "failed", "refused"]
DamagedPolicy = Literal["fail", "skip", "older"]


class RestoreRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asked for. `schema` puts the tables into a scratch schema instead of their own.

    With `schema_from_backup` they have the definitions of the backup there, and the schema must be a new one.

    `in_place` writes into tables that exist, by the policy `on_conflict`; `create_missing` (with a scratch schema)
    makes those that do not. `without_scopes` leaves out the columns of these encryption scopes. `by` is who asks; "":
    the user of the operating system.

    Of a restore in place: `base` is the backup of the damaged state (merge), `newer_by` a timestamp column
    (take-newer; None: the configured one), `where` limits it to keys with a differing row for which the condition
    holds, `disable_triggers` keeps user triggers from firing, and `plan` is the token of a preview: nothing is written
    unless the same would be done now. `renames` says of columns of the one table what they are called in it by now.

    Of a restore into new tables: `resume` counts one that exists as restored when it is wholly the backup's; `jobs`
    are restored side by side. `damaged` says what becomes of days whose chunks are damaged: the table fails, they are
    left out, or their newest whole state before this backup takes their place.
    """

    backup: str
    tables: tuple[TableName, ...] | None = None
    days: DayRange | None = None
    schema: str | None = None
    in_place: bool = False
    create_missing: bool = False
    on_conflict: ConflictPolicy | None = None
    base: str | None = None
    newer_by: str | None = None
    where: str | None = None
    disable_triggers: bool = False
    plan: str | None = None
    reason: str = ""
    wait: float = 0.0
    without_scopes: tuple[str, ...] = ()
    by: str = ""
    resume: bool = False
    jobs: int = 2
    damaged: DamagedPolicy = "fail"
    renames: tuple[tuple[str, str], ...] = ()
    schema_from_backup: bool = False


class ColumnSum(msgspec.Struct, frozen=True, kw_only=True):
    """The sum of a numeric column on one day before and after, as a decimal number; None: a value is no number."""

    column: str
    before: str | None
    after: str | None


class DayChange(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to the rows of one day.

    A row counts as updated on the day it has afterwards; `kept` live rows differ from the backup and stay.
    """

    day: str
    inserted: int
    updated: int
    deleted: int
    kept: int
    unchanged: int
    sums: tuple[ColumnSum, ...] = ()


class TableChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore in place does to one table, in rows.

    `unchanged` rows are live as in the backup; `conflicts` counts keys whose rows differ on both sides, and
    `conflict_keys` tells the first of them;
    `renumbered` rows get another surrogate number than in the backup, because that one is taken. `days` are those with
    a difference; `columns` tells in how many updated rows each column changes. `live` is the digest of the live rows
    of the whole range before. `drift` names the columns that are not the same in the backup and in the table.
    """

    inserted: int
    updated: int
    deleted: int
    kept: int
    unchanged: int
    conflicts: int
    conflict_keys: tuple[str, ...] = ()
    renumbered: int = 0
    days: tuple[DayChange, ...] = ()
    columns: dict[str, int] = {}
    disabled_triggers: tuple[str, ...] = ()
    live: str = ""
    drift: tuple[ColumnDrift, ...] = ()

    @property
    def written(self) -> int:
        """Rows that are inserted, updated or deleted."""
        return self.inserted + self.updated + self.deleted


class TablePlan(msgspec.Struct, frozen=True, kw_only=True):
    """One table: of the backup's `rows` on `days`, what is needed goes to `target`.

    `changes` tells of a restore in place what that is; `part` stands for all of it in the plan's token. `refusal` says
    why the table is left alone (action `refuse`). Action `compare`: it exists, and a resumed restore looks whether it
    is wholly the backup's. An undo names in `backup` the one that it takes this table from.
    """

    table: TableName
    target: TableName
    action: Action
    rows: int
    days: int
    changes: TableChanges | None = None
    part: str = ""
    refusal: str = ""
    backup: str = ""


class RestorePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What will be done, decided before anything is written. `address` holds no password.

    `token` stands for all of a restore in place ("" for any other); `undoes` is the restore that an undo takes back
    (its `backup` is that of its first table); `notes` says what is left out and why.
    """

    backup: str
    taken_at: str
    address: str
    days: DayRange | None
    tables: tuple[TablePlan, ...]
    base: str = ""
    on_conflict: str = ""
    where: str = ""
    token: str = ""
    undoes: str = ""
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

    `digest` is that of the rows read back: of a new table equal to that of what was restored when `status` is restored
    or present (it existed and is wholly the backup's), of one in place that of the whole range, and `equal` tells
    whether the backup's is the same. `undo` is the backup of what was replaced ("": nothing was), and `listed` the file
    that lists every changed row. `instead` names the days that are not the backup's own. `phases` says where the
    seconds went, for a table that was created. `backup` is that of this table, of an undo alone.
    """

    table: TableName
    target: TableName
    status: Status
    rows: int = 0
    changes: TableChanges | None = None
    digest: str = ""
    equal: bool = False
    undo: str = ""
    listed: FileReference | None = None
    error: str = ""
    seconds: float = 0.0
    phases: dict[str, float] = {}
    instead: tuple[DayInstead, ...] = ()
    backup: str = ""

    @property
    def done(self) -> bool:
        """Whether the table is there and proved."""
        return self.status in ("restored", "present")

    @property
    def replaced(self) -> int:
        """Live rows that went or became others."""
        return 0 if self.changes is None else self.changes.updated + self.changes.deleted


class RestoreResult(msgspec.Struct, frozen=True, kw_only=True):
    """All outcomes. `id` names the record that was kept of it; "" when none could be.

    `problems` names definitions (a foreign key, a grant, a sequence) that could not be restored though their rows
    were. `undoes` is the restore that an undo took back.
    """

    backup: str
    address: str
    tables: tuple[TableOutcome, ...]
    reason: str = ""
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    base: str = ""
    undoes: str = ""
    id: str = ""

    @property
    def complete(self) -> bool:
        """Whether every table was restored with all that belongs to it; an undo that met a conflict is not complete."""
        met = self.undoes and any(table.changes is not None and table.changes.conflicts for table in self.tables)
        return not self.problems and not met and all(table.done and not table.instead for table in self.tables)

    @property
    def exit_code(self) -> int:
        """0 all restored, 3 some, 1 none."""
        restored = sum(table.done for table in self.tables)
        return 0 if self.complete else 3 if restored else 1
