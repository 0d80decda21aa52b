"""`<table>_restored`: days of a table written back from a backup into the target that `moi.toml` names.

The target is a scratch schema unless the configuration says otherwise: never silently the live table. A restore is
never retried by itself.
"""

from collections.abc import Sequence

import dagster as dg
from pydantic import Field

from moi_assets.assets.live_tables import OWNERS
from moi_assets.assets.snapshots import POOL
from moi_assets.partitions import days_of
from moi_assets.restoration import require_restored
from moi_assets.run_log import RunLog, plain_failures, reason_of
from moi_assets.tables import TableAssets
from moi_backup.model.restore import RestoreRequest
from moi_backup.operations.restore import restore
from moi_backup.operations.workspace import Workspace


class RestoreConfig(dg.Config):
    """Which backup is written back, and why."""

    backup: str = Field(
        default="latest", description="Id of the backup (or the beginning of one), latest, or latest-full."
    )
    reason: str = Field(default="", description="Why it is restored; shown with the result.")
    wait: float = Field(default=600.0, description="Seconds to wait while another backup or restore is writing.")


def build_restored(
    tables: Sequence[TableAssets], partitions: dg.PartitionsDefinition[str]
) -> list[dg.AssetsDefinition]:
    """One asset a table, partitioned like its snapshot; a range of days is one restore."""
    return [_restored(table, partitions) for table in tables]


def _restored(table: TableAssets, partitions: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    @dg.asset(
        key=table.restored,
        deps=[table.snapshot],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=POOL,
        group_name="restored",
        owners=OWNERS,
        kinds={"postgres", "table"},
        metadata={"table": str(table.table), "target": str(table.target)},
        description=(
            f"Days of `{table.table}` written back from a backup into `{table.target}`, replacing them there. "
            "Choose the backup in the launchpad; the rows are read back and proved before the commit."
        ),
    )
    def restored(
        context: dg.AssetExecutionContext, config: RestoreConfig, workspace: dg.ResourceParam[Workspace]
    ) -> dg.MaterializeResult:
        with plain_failures():
            request = RestoreRequest(
                backup=config.backup,
                tables=(table.table,),
                days=days_of(context.partition_key_range),
                schema=table.target.schema,
                in_place=True,
                create_missing=True,
                on_conflict="replace",
                reason=reason_of(context, config.reason),
                wait=config.wait,
            )
            return require_restored(restore(workspace, workspace.restore_url(), request, progress=RunLog(context.log)))

    return restored
