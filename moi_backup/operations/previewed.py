"""The plan of a restore in place: with what it would do to the live rows now, its token, and whether it still holds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from moi_backup.model.plan_token import asked_digest, plan_token, same_asked
from moi_backup.model.restore import RestorePlan, RestoreRequest, TableOutcome, TablePlan
from moi_backup.model.table import TableName
from moi_backup.operations.backup_debris import scratch_folder
from moi_backup.operations.in_place import InPlace
from moi_backup.operations.progress import Progress
from moi_backup.operations.restore_in_place import plan_in_place
from moi_backup.storage.store import Store


def with_changes(
    plan: RestorePlan,
    asked: Mapping[TableName, InPlace],
    request: RestoreRequest,
    *,
    url: str,
    store: Store,
    now: datetime,
    progress: Progress,
) -> RestorePlan:
    """The plan with what would be done to the live rows of every table now, and its token; nothing is written.

    `store` gives the folder for what does not fit into memory.
    """
    with scratch_folder(store, now=now) as scratch:
        tables = tuple(
            plan_in_place(url, table, asked[table.table], scratch=scratch, progress=progress)
            if table.action == "in-place"
            else table
            for table in plan.tables
        )
    parts = [table.part or f"{table.target} {table.action} {table.refusal}" for table in tables]
    digest = asked_digest(request, address=plan.address, backup=plan.backup, base=plan.base)
    return msgspec.structs.replace(plan, tables=tables, token=plan_token(digest, parts))


def as_previewed(plan: RestorePlan, token: str) -> RestorePlan:
    """The plan if it is the previewed one, else the same with every table refused."""
    if plan.token == token:
        return plan
    why = "the live rows or the table are not as they were then"
    if not same_asked(token, plan.token):
        why = "it was made with other options, or of another backup or database"
    refusal = f"plan {token} is not what would be done now ({plan.token}): {why}; look at a new --dry-run"
    return msgspec.structs.replace(plan, tables=tuple(refuse(table, refusal) for table in plan.tables))


def refuse(plan: TablePlan, why: str) -> TablePlan:
    """The plan of a table that is left alone."""
    return msgspec.structs.replace(plan, action="refuse", refusal=why)


def refused_outcome(plan: TablePlan) -> TableOutcome:
    """What became of a table that was left alone."""
    return TableOutcome(table=plan.table, target=plan.target, status="refused", error=f"{plan.target}: {plan.refusal}")
