"""What may not expire yet: the backup before a restore is its undo, and is kept for a while after it."""

from __future__ import annotations

from datetime import datetime, timedelta

from moi_backup.model.backup import BackupManifest

UNDO_DAYS = 30


def held_until(manifest: BackupManifest) -> datetime | None:
    """The moment from which a backup may expire; None for one that nothing holds."""
    if manifest.kind != "pre_restore":
        return None
    return datetime.fromisoformat(manifest.finished_at) + timedelta(days=UNDO_DAYS)


def is_held(manifest: BackupManifest, *, now: datetime) -> bool:
    """Whether a backup may not expire at this moment."""
    until = held_until(manifest)
    return until is not None and now < until
