"""`undo_preview` and `undone_restore`: what a restore in place replaced is put back, and what changed since is kept.

An undo writes into live tables, so it is done by the plan token of its preview and a reason alone. Never retried by
itself.
"""

from functools import partial
from typing import Any, Literal

import dagster as dg
from pydantic import Field

from moi_assets.assets.live_tables import OWNERS
from moi_assets.assets.snapshots import POOL
from moi_assets.restore_config import WAIT
from moi_assets.run_log import RunLog, plain_failures, reason_of
from moi_assets.run_tags import tag_run
from moi_assets.undoing import undo_previewed, undone
from moi_backup.errors import UsageError
from moi_backup.model.table import parse_table_name
from moi_backup.model.undo import UndoOrder
from moi_backup.operations.hidden_columns import hidden_columns
from moi_backup.operations.undo import plan_undo, undo
from moi_backup.operations.workspace import Workspace


class UndoPreviewConfig(dg.Config):
    """Which restore is taken back."""

    restore_id: str = Field(
        default="", description="Id of the restore (its metadata `restore`, or moi-backup restores), or its beginning."
    )
    target: Literal["live", "configured"] = Field(
        default="live", description="Where it wrote: the protected database, or the one of [restore] in moi.toml."
    )
    tables: list[str] = Field(default=[], description="Only these tables (schema.name); empty: all it wrote into.")
    disable_triggers: bool = Field(default=False, description="Keep user triggers from firing meanwhile.")


class UndoConfig(UndoPreviewConfig):
    """Which restore is taken back, as it was previewed, and why."""

    plan: str = Field(default="", description="Token of undo_preview: nothing else is done than it showed.")
    reason: str = Field(default="", description="Why it is undone; kept in the record.")
    wait: float = Field(default=600.0, description=WAIT)


def build_undone_restore() -> list[dg.AssetsDefinition]:
    """Both assets."""
    return [_undo_preview(), _undone_restore()]


def _undo_preview() -> dg.AssetsDefinition:
    @dg.asset(
        deps=["backup"],
        group_name="previews",
        owners=OWNERS,
        kinds={"postgres"},
        description=(
            "What an undo of a restore in place would do, by table and day. Nothing is written. Shows the plan token "
            "and what to paste into the launchpad of `undone_restore` to do exactly that."
        ),
    )
    def undo_preview(
        context: dg.AssetExecutionContext, config: UndoPreviewConfig, workspace: dg.ResourceParam[Workspace]
    ) -> dg.MaterializeResult:
        progress = RunLog(context.log)
        with plain_failures():
            order = _order(config, workspace, reason=reason_of(context, "preview"))
            plan = plan_undo(workspace, _url(config, workspace), order, progress=progress)
            tag_run(context, undoes=plan.undoes)
            given = config.model_dump(exclude_defaults=True)
            return undo_previewed(plan, given, hidden=partial(hidden_columns, workspace, progress=progress))

    return undo_preview


def _undone_restore() -> dg.AssetsDefinition:
    @dg.asset(
        deps=["backup"],
        pool=POOL,
        group_name="restored",
        owners=OWNERS,
        kinds={"postgres", "table"},
        description=(
            "A restore in place taken back: what it replaced is merged back, and what people changed since is kept. "
            "Needs the plan token of `undo_preview` and a reason. An undo can be undone as well."
        ),
    )
    def undone_restore(
        context: dg.AssetExecutionContext, config: UndoConfig, workspace: dg.ResourceParam[Workspace]
    ) -> dg.MaterializeResult:
        progress = RunLog(context.log)
        with plain_failures():
            _require_seen(config)
            more = {"plan": config.plan.strip(), "wait": config.wait}
            order = _order(config, workspace, reason=reason_of(context, config.reason), **more)
            result = undo(workspace, _url(config, workspace), order, progress=progress)
            tag_run(context, undoes=result.undoes, restore=result.id)
            return undone(result, hidden=partial(hidden_columns, workspace, progress=progress))

    return undone_restore


def _order(config: UndoPreviewConfig, workspace: Workspace, *, reason: str, **more: Any) -> UndoOrder:
    schema = workspace.configuration.source.schema
    tables = tuple(parse_table_name(name, default_schema=schema) for name in config.tables)
    if not config.restore_id.strip():
        raise UsageError(
            "Which restore is undone was not said.", remedy="Give restore_id; moi-backup restores lists all."
        )
    return UndoOrder(
        restore=config.restore_id.strip(),
        tables=tables or None,
        disable_triggers=config.disable_triggers,
        reason=reason,
        **more,
    )


def _url(config: UndoPreviewConfig, workspace: Workspace) -> str:
    return workspace.source_url() if config.target == "live" else workspace.restore_url()


def _require_seen(config: UndoConfig) -> None:
    missing = [name for name, given in (("reason", config.reason), ("plan", config.plan)) if not given.strip()]
    if missing:
        raise UsageError(
            f"An undo needs {' and '.join(missing)}.",
            meaning="Nothing was written: tables are changed only as somebody has seen it before, and said why.",
            remedy="Materialize undo_preview with the same restore_id; it shows what to paste here.",
        )
