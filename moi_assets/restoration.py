"""Plans and results of restores of days as Dagster shows them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import dagster as dg

from moi_assets.restore_config import PreviewConfig, restore_yaml
from moi_assets.tables import TableAssets
from moi_backup.errors import MoiError
from moi_backup.model.restore import RestorePlan, RestoreResult, TableChanges, TableOutcome, TablePlan
from moi_backup.operations.changes_markdown import changes_markdown, without_columns
from moi_backup.operations.markdown import markdown_cell

Metadata = dict[str, dg.MetadataValue]
COUNTS = ("inserted", "updated", "deleted", "kept", "unchanged", "conflicts", "renumbered")


def previewed(
    plan: RestorePlan, config: PreviewConfig, table: TableAssets, *, hidden: Collection[str]
) -> dg.MaterializeResult:
    """The plan of a restore of one table; `hidden` columns stay untold."""
    (planned,) = plan.tables
    metadata: Metadata = {
        "backup": dg.MetadataValue.text(plan.backup),
        "taken": dg.MetadataValue.text(plan.taken_at),
        "target": dg.MetadataValue.text(f"{planned.target} at {plan.address}"),
        "policy": dg.MetadataValue.text(plan.on_conflict),
        **_changed(planned.changes, hidden),
        "notes": bullets(plan.notes),
    }
    if planned.changes is None:
        metadata |= {"changes": dg.MetadataValue.md(_without_changes(planned))}
    if planned.refusal:
        return dg.MaterializeResult(metadata=metadata | {"refused": dg.MetadataValue.text(planned.refusal)})
    told = _how_to_apply(plan, config, table)
    plan_told = {"plan": dg.MetadataValue.text(plan.token), "to apply it": dg.MetadataValue.md(told)}
    return dg.MaterializeResult(metadata=metadata | plan_told)


def restored_outcome(result: RestoreResult) -> TableOutcome:
    """The outcome of a restore of one table; raises MoiError when it was refused or failed."""
    (outcome,) = result.tables
    if outcome.status != "restored":
        record = f" Recorded as {result.id}." if result.id else ""
        meaning = f"{outcome.error}{record}"
        raise MoiError(f"{outcome.target} was not restored ({outcome.status}).", meaning=meaning)
    return outcome


def restored_days(result: RestoreResult, outcome: TableOutcome, *, hidden: Collection[str]) -> dg.MaterializeResult:
    """What a restore of one table did; `hidden` columns stay untold."""
    metadata: Metadata = {
        "dagster/row_count": dg.MetadataValue.int(outcome.rows),
        "rows": dg.MetadataValue.int(outcome.rows),
        "rows replaced": dg.MetadataValue.int(outcome.replaced),
        **_changed(outcome.changes, hidden),
        "digest": dg.MetadataValue.text(outcome.digest),
        "equal to the backup": dg.MetadataValue.bool(outcome.equal or outcome.changes is None),
        "backup": dg.MetadataValue.text(result.backup),
        "target": dg.MetadataValue.text(f"{outcome.target} at {result.address}"),
        "reason": dg.MetadataValue.text(result.reason),
        "restore": dg.MetadataValue.text(result.id or "not recorded"),
        "undo": dg.MetadataValue.text(outcome.undo or "nothing was replaced"),
        "seconds": dg.MetadataValue.float(outcome.seconds),
        "notes": bullets(result.notes),
        "not restored": bullets(result.problems),
    }
    return dg.MaterializeResult(metadata=metadata)


def bullets(texts: Sequence[str]) -> dg.MarkdownMetadataValue:
    """A list, or `none`."""
    return dg.MetadataValue.md("\n".join(f"- {markdown_cell(text)}" for text in texts) or "none")


def _changed(changes: TableChanges | None, hidden: Collection[str]) -> Metadata:
    if changes is None:
        return {}
    counts: Metadata = {f"rows {name}": dg.MetadataValue.int(getattr(changes, name)) for name in COUNTS}
    return counts | {"changes": dg.MetadataValue.md(changes_markdown(without_columns(changes, hidden)))}


def _without_changes(planned: TablePlan) -> str:
    if planned.action != "create":
        return "They were not compared."
    return f"{markdown_cell(str(planned.target))} does not exist: it is made, with {planned.rows:,} rows."


def _how_to_apply(plan: RestorePlan, config: PreviewConfig, table: TableAssets) -> str:
    text = restore_yaml(config, table, backup=plan.backup, base=plan.base, token=plan.token)
    return (
        f"Materialize `{table.restored.to_user_string()}` for the same days ({plan.days}) with this in the launchpad. "
        f"It is refused when something else would be done by then.\n\n```yaml\n{text}\n```"
    )
