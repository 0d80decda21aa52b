"""Plans and results of undos as Dagster shows them."""

from __future__ import annotations

from collections.abc import Callable, Collection

import dagster as dg

from moi_assets.restoration import COUNTS, Metadata, bullets
from moi_assets.restore_config import launch_yaml
from moi_backup.model.restore import RestorePlan, RestoreResult, TableChanges
from moi_backup.model.table import TableName
from moi_backup.operations.changes_markdown import changes_markdown, without_columns
from moi_backup.operations.markdown import markdown_cell, markdown_rows

Hidden = Callable[[str, TableName], Collection[str]]
"""The columns of a table in a backup that stay untold."""


def undo_previewed(plan: RestorePlan, given: dict[str, object], *, hidden: Hidden) -> dg.MaterializeResult:
    """What an undo would do; `given` are the options it was previewed with, which it must be carried out with."""
    rows = [(str(table.target), table.action, *_counts(table.changes), table.refusal) for table in plan.tables]
    metadata: Metadata = {
        "undoes": dg.MetadataValue.text(plan.undoes),
        "address": dg.MetadataValue.text(plan.address),
        "tables": dg.MetadataValue.md(_table(("table", "action", *COUNTS, "why not"), rows)),
        "changes": dg.MetadataValue.md(
            _changes([(table.table, table.backup, table.changes) for table in plan.tables], hidden)
        ),
        "notes": bullets(plan.notes),
    }
    if all(table.action == "refuse" for table in plan.tables):
        return dg.MaterializeResult(metadata=metadata)
    text = launch_yaml("undone_restore", {**given, "restore_id": plan.undoes, "plan": plan.token, "reason": ""})
    told = f"Materialize `undone_restore` with this in the launchpad.\n\n```yaml\n{text}\n```"
    return dg.MaterializeResult(
        metadata=metadata | {"plan": dg.MetadataValue.text(plan.token), "to apply it": dg.MetadataValue.md(told)}
    )


def undone(result: RestoreResult, *, hidden: Hidden) -> dg.MaterializeResult:
    """What an undo did. Raises dg.Failure, with all of it, unless every table is done with all that belongs to it.

    A row that was changed since stays, is told as a conflict, and fails nothing: the plan showed it.
    """
    rows = [
        (str(table.target), table.status, *_counts(table.changes), table.undo, table.error) for table in result.tables
    ]
    metadata: Metadata = {
        "undoes": dg.MetadataValue.text(result.undoes),
        "address": dg.MetadataValue.text(result.address),
        "tables": dg.MetadataValue.md(_table(("table", "status", *COUNTS, "undo", "what happened"), rows)),
        "changes": dg.MetadataValue.md(
            _changes([(table.table, table.backup, table.changes) for table in result.tables], hidden)
        ),
        "restore": dg.MetadataValue.text(result.id or "not recorded"),
        "reason": dg.MetadataValue.text(result.reason),
        "notes": bullets(result.notes),
        "not restored": bullets(result.problems),
    }
    errors = [f"{table.target} ({table.status}): {table.error}" for table in result.tables if not table.done]
    if not errors and not result.problems:
        return dg.MaterializeResult(metadata=metadata)
    what = f"{len(result.tables) - len(errors)} of {len(result.tables)} tables of restore {result.undoes} were undone."
    raise dg.Failure("\n".join([what, *errors, *result.problems]), metadata=metadata, allow_retries=False)


def _counts(changes: TableChanges | None) -> tuple[object, ...]:
    return tuple("" if changes is None else getattr(changes, name) for name in COUNTS)


def _table(headings: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    return markdown_rows(headings, rows) if rows else "Nothing to undo."


def _changes(tables: list[tuple[TableName, str, TableChanges | None]], hidden: Hidden) -> str:
    """Every table's days under its name."""
    return "\n\n".join(
        f"**{markdown_cell(str(name))}**\n\n{changes_markdown(without_columns(changes, hidden(backup, name)))}"
        for name, backup, changes in tables
        if changes is not None
    )
