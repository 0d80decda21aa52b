"""Bring Dagster up to date with a backup: mark the changed days, evaluate the checks, and say what cannot be shown."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any, cast

import dagster as dg

from moi_assets.backup_metadata import backup_metadata, tables_without_assets
from moi_assets.checks.evaluations import evaluate
from moi_assets.day_metadata import days_metadata
from moi_assets.logged_days import log_days, logged_digests
from moi_assets.tables import TableAssets
from moi_backup.model.backup import BackupManifest
from moi_backup.operations.judge_backup import STATEMENTS, Judge
from moi_backup.operations.stored_days import StoredDay, changed_days, stored_days
from moi_backup.operations.stored_table import open_table
from moi_backup.operations.take_backup import BackupResult
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.chain import Chain
from moi_backup.repository.repository import Repository


def mirror_backup(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    tables: Sequence[TableAssets],
    partitions: dg.PartitionsDefinition[str],
    taken: BackupResult,
) -> dg.MaterializeResult:
    """Log what the backup changed; nothing is said of days it does not cover. Only complete backups are judged."""
    began = monotonic()
    repository, chain = workspace.history()
    keys = frozenset(partitions.get_partition_keys())
    covered = [table for table in tables if any(entry.table == table.table for entry in taken.manifest.tables)]
    marked, outside = 0, list[str]()
    for table in covered:
        days, others = _changed(context, table, keys, repository, chain, taken.manifest)
        stored = open_table(repository, taken.manifest, table.table)
        log_days(context, table.snapshot, days, days_metadata(stored, days, backup=taken.manifest.id))
        marked += len(days)
        outside += [f"{table.table} {label}: {rows:,} rows" for label, rows in others]
    if taken.manifest.coverage.complete:
        judge = Judge(repository, chain, taken.manifest)
        for table in tables:
            for statement in STATEMENTS:
                context.log_event(cast("Any", evaluate(judge, table, statement)))  # its annotation lags behind
    hidden = tables_without_assets(taken.manifest, tables)
    if hidden:
        context.log.warning("Backed up without assets, as moi.toml does not name them: %s.", ", ".join(hidden))
    metadata = backup_metadata(taken.manifest, marked=marked, outside=outside, hidden=hidden)
    return dg.MaterializeResult(metadata=metadata | {"seconds to mark and judge": monotonic() - began})


def _changed(
    context: dg.AssetExecutionContext,
    table: TableAssets,
    keys: frozenset[str],
    repository: Repository,
    chain: Chain,
    backup: BackupManifest,
) -> tuple[list[StoredDay], list[tuple[str, int]]]:
    """The days to mark, and the days (with their rows) that no partition stands for."""
    stored = stored_days(open_table(repository, backup, table.table))
    logged = logged_digests(context.instance, table.snapshot, repository, chain, table.table)
    limit = backup.coverage.days
    known = {label: digest for label, digest in logged.items() if limit is None or label in limit}
    days = [day for day in changed_days(stored, known) if day.day in keys]
    return days, [(label, day.rows) for label, day in stored.items() if label not in keys]
