"""Metadata of the asset `backup`: what the manifest says, and what Dagster cannot show of it."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from moi_assets.day_metadata import PREVIEWED_DAYS
from moi_assets.tables import TableAssets
from moi_backup.model.backup import BackupManifest, Coverage

_SHOWN = 20
_HEADER = "| table | rows | chunks | new chunks | bytes written | digest |\n|---|---|---|---|---|---|"


def tables_without_assets(backup: BackupManifest, tables: Sequence[TableAssets]) -> list[str]:
    """The tables that are in the backup and that `[tables]` does not name: without a connection nobody knew."""
    shown = {table.table for table in tables}
    return [str(entry.table) for entry in backup.tables if entry.table not in shown]


def backup_metadata(
    backup: BackupManifest, *, marked: int, outside: list[str], hidden: list[str]
) -> dict[str, dg.MetadataValue]:
    """`outside` are days that have rows and no partition, `hidden` tables that have no assets."""
    return {
        "backup": dg.MetadataValue.text(backup.id),
        "kind": dg.MetadataValue.text(backup.kind),
        "coverage": dg.MetadataValue.text(_coverage(backup.coverage)),
        "rows": dg.MetadataValue.int(backup.rows),
        "bytes written": dg.MetadataValue.int(sum(entry.bytes_written for entry in backup.tables)),
        "tables": dg.MetadataValue.md(_tables(backup)),
        "days marked": dg.MetadataValue.int(marked),
        "previews": dg.MetadataValue.text(f"of the {PREVIEWED_DAYS} newest changed days of each table"),
        "days without a partition": dg.MetadataValue.md(_listed(outside)),
        "tables without assets": dg.MetadataValue.md(_listed(hidden, note="[tables] of moi.toml does not name them")),
        "unprotected tables": dg.MetadataValue.md(_listed(backup.unprotected, note="no backup holds them")),
        "snapshot": dg.MetadataValue.text(backup.source.snapshot),
        "reason": dg.MetadataValue.text(backup.reason),
    }


def _coverage(coverage: Coverage) -> str:
    if coverage.complete:
        return "complete"
    return f"tables: {', '.join(coverage.tables or ['all'])}; days: {coverage.days or 'all'}"


def _tables(backup: BackupManifest) -> str:
    rows = [
        [
            str(entry.table),
            f"{entry.rows:,}",
            entry.chunks,
            entry.new_chunks,
            f"{entry.bytes_written:,}",
            entry.digest[:16],
        ]
        for entry in backup.tables
    ]
    return "\n".join([_HEADER, *(f"| {' | '.join(map(str, row))} |" for row in rows)])


def _listed(items: Sequence[str], *, note: str = "") -> str:
    if not items:
        return "none"
    more = [f"- and {len(items) - _SHOWN:,} more"] if len(items) > _SHOWN else []
    return "\n".join([*([f"{note}:\n"] if note else []), *(f"- {item}" for item in items[:_SHOWN]), *more])
