"""What a restore leaves behind in the repository (docs/format.md, "Records"): who did what, why, and how it went."""

from __future__ import annotations

from typing import Literal

import msgspec

from moi_backup.model.day import DayRange

RecordedStatus = Literal["restored", "present", "failed", "refused"]


class FileReference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole file at `files/<digest>` with its size in bytes as stored."""

    digest: str
    size: int


class RecordedTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of one table; all counts are rows of the target. `rows` is how many of the backup's went into it.

    `digest_before` and `digest_after` are of the target's rows in the restored range ("" where not taken). `undo` is
    the backup of the state that was replaced ("": there was none), `changes` the file that lists every changed row.
    `backup` is the one that an undo took the table from ("": that of the restore).
    """

    table: str
    target: str
    status: RecordedStatus
    rows: int = 0
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    kept: int = 0
    conflicts: int = 0
    digest_before: str = ""
    digest_after: str = ""
    undo: str = ""
    changes: FileReference | None = None
    error: str = ""
    backup: str = ""


class RestoreRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One restore, at `records/restores/<id>`. Times are ISO 8601 in UTC with offset; `address` holds no password.

    `by` is who asked for it, `backup` the backup restored, `base` the third state that a merge compared with (null:
    none). `policy` and `where` are "" where none was given. `problems` names what could not be restored though the
    rows were. `undoes` is the restore that an undo took back ("": it is none); its `backup` is that of its first table.
    """

    id: str
    at: str
    finished_at: str
    by: str
    reason: str
    backup: str
    base: str | None
    in_place: bool
    policy: str
    where: str
    days: DayRange | None
    address: str
    tables: tuple[RecordedTable, ...]
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    undoes: str = ""
    format: int = 1

    @property
    def status(self) -> str:
        """`complete`, `partly` (some tables, or with problems, or an undo that met conflicts) or `nothing`."""
        restored = sum(table.status in ("restored", "present") for table in self.tables)
        met = self.undoes and any(table.conflicts for table in self.tables)
        if restored == len(self.tables) and not self.problems and not met:
            return "complete"
        return "partly" if restored else "nothing"
