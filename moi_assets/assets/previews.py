"""`<table>_restore_preview`: what a restore of these days would do, by day, with the token that allows exactly that.

Nothing is written to any database, so it waits for no other run. A partition that is marked has been looked at, and
says nothing of later changes.
"""

from collections.abc import Sequence

import dagster as dg

from moi_assets.assets.live_tables import OWNERS
from moi_assets.partitions import days_of
from moi_assets.restoration import previewed
from moi_assets.restore_config import PreviewConfig, restore_request, target_of
from moi_assets.run_log import RunLog, plain_failures, reason_of
from moi_assets.run_tags import tag_run
from moi_assets.tables import TableAssets
from moi_backup.operations.hidden_columns import hidden_columns
from moi_backup.operations.restore import plan_restore
from moi_backup.operations.workspace import Workspace


def build_previews(
    tables: Sequence[TableAssets], partitions: dg.PartitionsDefinition[str]
) -> list[dg.AssetsDefinition]:
    """One asset a table, partitioned like its snapshot; a range of days is one plan."""
    return [_preview(table, partitions) for table in tables]


def _preview(table: TableAssets, partitions: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    @dg.asset(
        key=table.preview,
        deps=[table.live, table.snapshot],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="previews",
        owners=OWNERS,
        kinds={"postgres"},
        metadata={"table": str(table.table), "target": str(table.target)},
        description=(
            f"What a restore of days of `{table.table}` would insert, update, delete and leave alone, by day and with "
            "sums. Nothing is written. Shows the plan token and what to paste into the launchpad of "
            f"`{table.restored.to_user_string()}` to do exactly that."
        ),
    )
    def preview(
        context: dg.AssetExecutionContext, config: PreviewConfig, workspace: dg.ResourceParam[Workspace]
    ) -> dg.MaterializeResult:
        progress = RunLog(context.log)
        with plain_failures():
            days, reason = days_of(context.partition_key_range), reason_of(context, "preview")
            request = restore_request(config, table, days, reason=reason)
            plan = plan_restore(workspace, target_of(config, workspace), request, progress=progress)
            tag_run(context, backup=plan.backup, policy=config.policy, target=str(table.target_of(config.target)))
            hidden = hidden_columns(workspace, plan.backup, table.table, progress=progress)
            return previewed(plan, config, table, hidden=hidden)

    return preview
