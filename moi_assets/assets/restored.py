"""`<table>_restored`: days of a table written back from a backup, by the policy and into the table a person chooses.

The target is that of `[restore]` in moi.toml, a scratch schema unless it says otherwise: never silently the live table,
which is written to with a reason and the plan token of a preview alone. A restore is never retried by itself.
"""

from collections.abc import Sequence

import dagster as dg

from moi_assets.assets.live_tables import OWNERS
from moi_assets.assets.snapshots import POOL
from moi_assets.partitions import days_of
from moi_assets.restoration import restored_days, restored_outcome
from moi_assets.restore_config import RestoreConfig, require_seen, restore_request, target_of
from moi_assets.run_log import RunLog, plain_failures, reason_of
from moi_assets.run_tags import tag_run
from moi_assets.tables import TableAssets
from moi_backup.operations.hidden_columns import hidden_columns
from moi_backup.operations.restore import restore
from moi_backup.operations.workspace import Workspace


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
            "Choose the backup, the policy and the target in the launchpad; the rows are read back and proved before "
            f"the commit. `{table.preview.to_user_string()}` shows first what it would do."
        ),
    )
    def restored(
        context: dg.AssetExecutionContext, config: RestoreConfig, workspace: dg.ResourceParam[Workspace]
    ) -> dg.MaterializeResult:
        progress = RunLog(context.log)
        with plain_failures():
            tag_run(context, policy=config.policy, target=str(table.target_of(config.target)))
            require_seen(config, table, workspace)
            days, reason = days_of(context.partition_key_range), reason_of(context, config.reason)
            request = restore_request(config, table, days, reason=reason)
            hidden = hidden_columns(workspace, config.backup, table.table, progress=progress)
            result = restore(workspace, target_of(config, workspace), request, progress=progress)
            tag_run(context, backup=result.backup, restore=result.id)
            return restored_days(result, restored_outcome(result), hidden=hidden)

    return restored
