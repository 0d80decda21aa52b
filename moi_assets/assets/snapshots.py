"""`<table>_snapshot`: the days of every protected table in the repository.

The backup jobs mark these partitions through the asset `backup`; the definition here runs when a person backfills
days, all chosen tables in one run and from one database snapshot.
"""

from collections.abc import Iterator, Sequence

import dagster as dg
from pydantic import Field

from moi_assets.assets.live_tables import OWNERS
from moi_assets.backfill import backfill_request, backfilled
from moi_assets.run_log import RunLog, plain_failures
from moi_assets.tables import TableAssets
from moi_backup.operations.take_backup import take_backup
from moi_backup.operations.workspace import Workspace

POOL = "backup_repository"


class BackfillConfig(dg.Config):
    """What a person may say about a backfill."""

    reason: str = Field(default="", description="Why these days are backed up; kept in the backup's manifest.")
    wait: float = Field(default=600.0, description="Seconds to wait while another backup or restore is writing.")


def build_snapshots(tables: Sequence[TableAssets], partitions: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    """One definition for the snapshots of all tables, of which a run may choose some."""

    @dg.multi_asset(
        name="snapshots",
        specs=[_spec(table) for table in tables],
        partitions_def=partitions,
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=POOL,
    )
    def snapshots(
        context: dg.AssetExecutionContext, config: BackfillConfig, workspace: dg.ResourceParam[Workspace]
    ) -> Iterator[dg.MaterializeResult]:
        chosen = [table for table in tables if table.snapshot in context.selected_asset_keys]
        with plain_failures():
            request = backfill_request(context, chosen, reason=config.reason, wait=config.wait)
            taken = take_backup(workspace, request, progress=RunLog(context.log))
            yield from backfilled(context, workspace, chosen, taken)

    return snapshots


def _spec(table: TableAssets) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=table.snapshot,
        deps=[table.live],
        description=(
            f"The rows of `{table.table}` in the backup repository, one partition a day, as Parquet. "
            "A partition is marked when a backup found its rows changed; its metadata names that backup."
        ),
        group_name="snapshots",
        owners=OWNERS,
        kinds={"parquet", "duckdb"},
        metadata={"table": str(table.table), "data class": table.data_class},
    )
