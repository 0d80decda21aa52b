"""From the partitions of a run to a backup limited to them, and from that backup to each partition's metadata."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import dagster as dg

from moi_assets.day_metadata import days_metadata
from moi_assets.logged_days import backfill_version
from moi_assets.partitions import days_of
from moi_assets.run_log import reason_of
from moi_assets.tables import TableAssets
from moi_backup.operations.stored_days import StoredDay, stored_days
from moi_backup.operations.stored_table import open_table
from moi_backup.operations.take_backup import BackupRequest, BackupResult
from moi_backup.operations.workspace import Workspace


def backfill_request(
    context: dg.AssetExecutionContext, tables: Sequence[TableAssets], *, reason: str, wait: float
) -> BackupRequest:
    """A backup of exactly the chosen tables and days."""
    return BackupRequest(
        tables=tuple(table.table for table in tables),
        days=days_of(context.partition_key_range),
        reason=reason_of(context, reason or "backfill"),
        wait=wait,
    )


def backfilled(
    context: dg.AssetExecutionContext, workspace: Workspace, tables: Sequence[TableAssets], taken: BackupResult
) -> Iterator[dg.MaterializeResult]:
    """One result a table; a day without rows is materialized with 0 rows."""
    repository = workspace.open()
    for table in tables:
        stored = open_table(repository, taken.manifest, table.table)
        found = stored_days(stored)
        days = [found.get(key, StoredDay(key)) for key in context.partition_keys]
        for label, metadata in days_metadata(stored, days, backup=taken.manifest.id).items():
            context.add_asset_metadata(metadata, asset_key=table.snapshot, partition_key=label)
        yield dg.MaterializeResult(asset_key=table.snapshot, data_version=backfill_version(taken.manifest.id))
