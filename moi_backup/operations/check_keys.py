"""Check that the configured keys open what is stored: every scope key, and rows of the newest backup under each."""

from __future__ import annotations

import msgspec

from moi_backup.errors import UsageError, WrongKey
from moi_backup.lake.parquet import first_rows
from moi_backup.operations.list_keys import KeyState, list_keys
from moi_backup.operations.stored_table import open_table, without_scopes
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.backups import resolve_backup


class CheckedKeys(msgspec.Struct, frozen=True, kw_only=True):
    """`opened` are the scopes whose columns were read from `backup` (null: there is none yet)."""

    repository: str
    backup: str | None
    opened: tuple[str, ...]
    locked: tuple[KeyState, ...]
    not_rotated: int

    @property
    def exit_code(self) -> int:
        """12 when a key that is not destroyed does not open."""
        return WrongKey.exit_code if self.locked else 0


def check_keys(workspace: Workspace) -> CheckedKeys:
    """Open every scope key and read rows; raises WrongKey when the repository itself cannot be opened."""
    keys = list_keys(workspace)
    if not keys.encrypted:
        raise UsageError("The repository is not encrypted, so there is no key to check.")
    backup, opened = _read_rows(workspace)
    return CheckedKeys(
        repository=keys.repository,
        backup=backup,
        opened=opened,
        locked=tuple(key for key in keys.keys if key.state == "locked"),
        not_rotated=keys.unwrapped_by_newest,
    )


def _read_rows(workspace: Workspace) -> tuple[str | None, tuple[str, ...]]:
    """Read the first rows of every table of the newest backup in all columns that are open; the scopes of these."""
    repository, chain = workspace.history()
    try:
        backup = resolve_backup(repository, chain, "latest")
    except UsageError:
        return None, ()
    read: set[str] = set()
    for entry in backup.tables:
        stored = open_table(repository, backup, entry.table)
        closed = {locked.scope for locked in stored.locked()}
        held = without_scopes(stored.whole, closed)
        for chunk in stored.chunks()[-1:]:
            with repository.open_chunk(entry.table, chunk) as path:
                first_rows(path, held, rows=1, ring=repository.ring)
            read.update(column.scope for column in held.columns)
    return backup.id, tuple(sorted(read))
