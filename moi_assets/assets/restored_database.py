"""`restored_database`: all tables of a backup, or some, restored into new tables. Nothing that exists is written to.

Not partitioned: it is of a backup, not of days. A restore is never retried by itself; a person resumes it.
"""

import dagster as dg
from pydantic import Field

from moi_assets.assets.live_tables import OWNERS
from moi_assets.assets.snapshots import POOL
from moi_assets.new_tables import restored_everything
from moi_assets.run_log import RunLog, plain_failures, reason_of
from moi_assets.run_tags import tag_run
from moi_backup.model.day import parse_day_range
from moi_backup.model.restore import DamagedPolicy, RestoreRequest
from moi_backup.model.table import parse_table_name
from moi_backup.operations.restore import restore
from moi_backup.operations.workspace import Workspace


class NewTablesConfig(dg.Config):
    """Which backup is restored, where its tables are made, and why."""

    backup: str = Field(
        default="latest", description="Id of the backup (or the beginning of one), latest, latest-full, or a moment."
    )
    schema_name: str = Field(
        default="", alias="schema", description="The schema the tables are made in; empty: that of [restore]."
    )
    own_schemas: bool = Field(
        default=False,
        description="Make them in their own schemas instead, with keys, indexes and triggers, as after a total loss.",
    )
    tables: list[str] = Field(default=[], description="Only these tables (schema.name); empty: all.")
    days: str = Field(
        default="", description="Only these days: 2025-09-14 or 2025-09-01..2025-09-30, both ends included."
    )
    without_scopes: list[str] = Field(default=[], description="Leave out columns of these encryption scopes.")
    resume: bool = Field(default=False, description="Go on: a table that exists and is wholly the backup's is kept.")
    damaged: DamagedPolicy = Field(
        default="fail",
        description="Damaged days: fail the table, skip them, or take their newest older state.",
    )
    jobs: int = Field(default=2, ge=1, le=16, description="Tables restored side by side.")
    reason: str = Field(default="", description="Why it is restored; kept in the record of the restore.")


def build_restored_database(schema: str) -> dg.AssetsDefinition:
    """The asset; `schema` is where tables are made when nobody says otherwise."""

    @dg.asset(
        deps=["backup"],
        pool=POOL,
        group_name="restored",
        owners=OWNERS,
        kinds={"postgres"},
        metadata={"schema": schema},
        description=(
            f"All tables of a backup restored into new tables of schema `{schema}` in the database of [restore], read "
            "back and proved one by one. One table's failure stops no other; the run fails unless all are there."
        ),
    )
    def restored_database(
        context: dg.AssetExecutionContext, config: NewTablesConfig, workspace: dg.ResourceParam[Workspace]
    ) -> dg.MaterializeResult:
        with plain_failures():
            request = _request(config, context, schema=schema, source_schema=workspace.configuration.source.schema)
            tag_run(context, target=request.schema or "own schemas")
            result = restore(workspace, workspace.restore_url(), request, progress=RunLog(context.log))
            tag_run(context, backup=result.backup, restore=result.id)
            return restored_everything(result)

    return restored_database


def _request(
    config: NewTablesConfig, context: dg.AssetExecutionContext, *, schema: str, source_schema: str
) -> RestoreRequest:
    return RestoreRequest(
        backup=config.backup,
        tables=tuple(parse_table_name(name, default_schema=source_schema) for name in config.tables) or None,
        days=parse_day_range(config.days) if config.days else None,
        schema=None if config.own_schemas else config.schema_name or schema,
        without_scopes=tuple(config.without_scopes),
        resume=config.resume,
        damaged=config.damaged,
        jobs=config.jobs,
        reason=reason_of(context, config.reason),
    )
