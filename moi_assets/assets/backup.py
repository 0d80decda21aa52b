"""`backup`: one run is one backup of everything, by one process and from one database snapshot.

It is not partitioned: planning every day of every table would cost thousands of events a night. It marks the days that
changed on the snapshots instead, and evaluates their checks.
"""

from collections.abc import Sequence
from enum import Enum

import dagster as dg
from pydantic import Field

from moi_assets.assets.live_tables import OWNERS
from moi_assets.assets.snapshots import POOL
from moi_assets.mirror import mirror_backup
from moi_assets.run_log import RunLog, plain_failures, reason_of
from moi_assets.tables import TableAssets
from moi_backup.model.day import parse_day_range
from moi_backup.model.table import parse_table_name
from moi_backup.operations.take_backup import BackupRequest, take_backup
from moi_backup.operations.workspace import Workspace


class BackupMode(Enum):
    """How much of the database is read."""

    full = "full"
    incremental = "incremental"


class BackupConfig(dg.Config):
    """What a backup covers and why it is taken."""

    mode: BackupMode = Field(
        default=BackupMode.incremental,
        description="full reads every row; incremental reads what changed. Either restores on its own.",
    )
    reason: str = Field(default="", description="Why it is taken; kept in the backup's manifest.")
    tables: list[str] = Field(default=[], description="Only these tables (schema.name); such a backup is never latest.")
    days: str = Field(
        default="", description="Only these days: 2025-09-14 or 2025-09-01..2025-09-30, both ends included."
    )
    wait: float = Field(default=600.0, description="Seconds to wait while another backup or restore is writing.")


def build_backup(tables: Sequence[TableAssets], partitions: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    """The asset `backup` of a platform with these tables."""

    @dg.asset(
        deps=[table.live for table in tables],
        group_name="backups",
        owners=OWNERS,
        kinds={"postgres", "parquet"},
        pool=POOL,
        description="A backup of every protected table from one database snapshot, as `moi-backup backup` takes it.",
    )
    def backup(
        context: dg.AssetExecutionContext, config: BackupConfig, workspace: dg.ResourceParam[Workspace]
    ) -> dg.MaterializeResult:
        with plain_failures():
            request = _request(
                config, reason=reason_of(context, config.reason), schema=workspace.configuration.source.schema
            )
            taken = take_backup(workspace, request, progress=RunLog(context.log))
            return mirror_backup(context, workspace, tables, partitions, taken)

    return backup


def _request(config: BackupConfig, *, reason: str, schema: str) -> BackupRequest:
    return BackupRequest(
        full=config.mode is BackupMode.full,
        tables=tuple(parse_table_name(name, default_schema=schema) for name in config.tables) or None,
        days=parse_day_range(config.days) if config.days else None,
        reason=reason,
        wait=config.wait,
    )
