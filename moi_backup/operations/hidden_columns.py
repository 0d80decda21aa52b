"""Which columns stay untold where everybody looks: those that encryption keeps for the holders of a scope."""

from __future__ import annotations

from moi_backup.model.key_ring import DEFAULT_SCOPE
from moi_backup.model.table import TableName
from moi_backup.operations.open_for_reading import open_for_reading
from moi_backup.operations.progress import Progress
from moi_backup.operations.stored_table import open_table
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.backups import resolve_backup


def hidden_columns(workspace: Workspace, backup: str, table: TableName, *, progress: Progress) -> frozenset[str]:
    """The columns outside of scope `default` in an encrypted repository; none in any other.

    Sums, and the names of what changes, leave the encryption behind like the values themselves.
    """
    reading = open_for_reading(workspace, warn=progress.warn)
    if not reading.repository.ring.encrypted:
        return frozenset()
    manifest = resolve_backup(reading.repository, reading.chain, backup)
    columns = open_table(reading.repository, manifest, table).manifest.columns
    return frozenset(column.name for column in columns if column.scope != DEFAULT_SCOPE)
