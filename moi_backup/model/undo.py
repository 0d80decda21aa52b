"""What an undo is asked."""

from __future__ import annotations

import msgspec

from moi_backup.model.table import TableName


class UndoOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Take back the restore in place `restore` (an id, or a unique prefix of one), in all its `tables` or in these.

    The options mean what they mean in a `RestoreRequest`.
    """

    restore: str
    tables: tuple[TableName, ...] | None = None
    disable_triggers: bool = False
    plan: str | None = None
    reason: str = ""
    wait: float = 0.0
    by: str = ""
