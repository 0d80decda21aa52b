"""Metadata of one day of a snapshot, the same whether a backup logged it or a backfill made it."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from moi_backup.operations.preview import preview_days
from moi_backup.operations.stored_days import StoredDay
from moi_backup.operations.stored_table import StoredTable

PREVIEWED_DAYS = 31

DayMetadata = dict[str, dg.MetadataValue]


def days_metadata(stored: StoredTable, days: Sequence[StoredDay], *, backup: str) -> dict[str, DayMetadata]:
    """Rows, bytes, digest and backup of every day by its label, and five rows of the 31 newest ones that have any."""
    newest = [day.day for day in days if day.rows][-PREVIEWED_DAYS:]
    previews = preview_days(stored, newest)
    return {day.day: _metadata(day, backup=backup, preview=previews.get(day.day)) for day in days}


def _metadata(day: StoredDay, *, backup: str, preview: str | None) -> DayMetadata:
    metadata: DayMetadata = {
        "dagster/row_count": dg.MetadataValue.int(day.rows),
        "rows": dg.MetadataValue.int(day.rows),
        "bytes": dg.MetadataValue.int(day.bytes),
        "digest": dg.MetadataValue.text(day.digest),
        "backup": dg.MetadataValue.text(backup),
    }
    return metadata if preview is None else metadata | {"preview": dg.MetadataValue.md(preview)}
