"""`recovery_drill`: a backup restored into a scratch database, proved from outside, measured, dropped, reported.

The run fails when the drill does. Its answer is the check `drill_passed` of the asset `backup` as well.
"""

from collections.abc import Iterator
from typing import Any, cast

import dagster as dg
from pydantic import Field

from moi_assets.assets.live_tables import OWNERS
from moi_assets.assets.snapshots import POOL
from moi_assets.checks.drill_passed import drill_evaluation
from moi_assets.drill_metadata import drill_metadata, require_passed
from moi_assets.run_log import RunLog, plain_failures, reason_of
from moi_assets.run_tags import tag_run
from moi_backup.model.drill import DrillRequest
from moi_backup.model.table import parse_table_name
from moi_backup.operations.drill import drill
from moi_backup.operations.workspace import Workspace


class DrillConfig(dg.Config):
    """Which backup is drilled, and why."""

    backup: str = Field(
        default="latest", description="Id of the backup (or the beginning of one), latest, latest-full, or a moment."
    )
    tables: list[str] = Field(
        default=[], description="Only these tables (schema.name); the time for everything is then a forecast."
    )
    keep_database: bool = Field(default=False, description="Leave the database for looking at; drop it yourself.")
    reason: str = Field(default="", description="Why it is drilled; shown with the result.")


def build_recovery_drill() -> dg.AssetsDefinition:
    """The asset `recovery_drill`."""

    @dg.asset(
        deps=["backup"],
        pool=POOL,
        group_name="drills",
        owners=OWNERS,
        kinds={"postgres"},
        description=(
            "A backup restored into a scratch database of its own, never the live one, as `moi-backup drill` does it: "
            "every row proved, definitions compared, the time of recovery measured. The report is in the repository."
        ),
    )
    def recovery_drill(
        context: dg.AssetExecutionContext, config: DrillConfig, workspace: dg.ResourceParam[Workspace]
    ) -> Iterator[dg.AssetObservation | dg.MaterializeResult]:
        with plain_failures():
            request = _request(config, schema=workspace.configuration.source.schema)
            report = drill(workspace, request, progress=RunLog(context.log))
        tag_run(context, backup=report.backup, drill=report.id, verdict=report.verdict)
        metadata = drill_metadata(report, reason=reason_of(context, config.reason))
        context.log_event(cast("Any", drill_evaluation(report)))  # its annotation lags behind
        # What is logged is stored with the next event that is yielded; a drill that fails says all of it nevertheless.
        yield dg.AssetObservation(asset_key=context.asset_key, metadata=metadata)
        require_passed(report)
        yield dg.MaterializeResult(metadata=metadata)

    return recovery_drill


def _request(config: DrillConfig, *, schema: str) -> DrillRequest:
    tables = tuple(parse_table_name(name, default_schema=schema) for name in config.tables)
    return DrillRequest(backup=config.backup, tables=tables or None, keep_database=config.keep_database)
