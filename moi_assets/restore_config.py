"""What a person says in the launchpad about a restore, and what the engine is asked for it: the options of the CLI."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

import dagster as dg
from pydantic import Field

from moi_assets.tables import TableAssets
from moi_backup.errors import UsageError
from moi_backup.model.conflict_policy import ConflictPolicy
from moi_backup.model.day import DayRange
from moi_backup.model.restore import RestoreRequest
from moi_backup.operations.workspace import Workspace

WAIT = "Seconds to wait while another backup or restore is writing."


class PreviewConfig(dg.Config):
    """Which backup, into which table, and what decides where they differ: all that a plan token stands for."""

    backup: str = Field(
        default="latest", description="Id of the backup (or the beginning of one), latest, latest-full, or a moment."
    )
    target: Literal["configured", "live"] = Field(
        default="configured",
        description=(
            "configured: the table that [restore] of moi.toml names, made when it is missing. live: the protected "
            "table itself; its restore needs a reason and the plan token of a preview."
        ),
    )
    policy: ConflictPolicy = Field(
        default="replace",
        description=(
            "What wins. replace: the days become those of the backup. keep-live: only lost rows come back. "
            "take-backup: lost and changed rows come back, newer ones stay. take-newer: of two rows the newer one. "
            "merge: what changed since the damage (base) stays, everything else comes back. fail: nothing is written "
            "where both sides differ."
        ),
    )
    base: str = Field(default="", description="merge: the backup of the damaged state.")
    newer_by: str = Field(
        default="", description="take-newer: the timestamp column that tells (empty: newer_by of moi.toml)."
    )
    where: str = Field(
        default="", description="Only keys with a differing row for which this SQL condition holds; kept in the log."
    )
    disable_triggers: bool = Field(default=False, description="Keep user triggers from firing meanwhile.")


class RestoreConfig(PreviewConfig):
    """Which backup is written back, how, and why."""

    plan: str = Field(
        default="", description="Token of a preview: nothing is written unless exactly that would be done now."
    )
    reason: str = Field(default="", description="Why it is restored; kept in the record of the restore.")
    wait: float = Field(default=600.0, description=WAIT)


def target_of(config: PreviewConfig, workspace: Workspace) -> str:
    """The URL of the database that is written to, with its password."""
    return workspace.source_url() if config.target == "live" else workspace.restore_url()


def restore_request(config: PreviewConfig, table: TableAssets, days: DayRange, *, reason: str) -> RestoreRequest:
    """What the engine is asked; the same for a preview as for the restore that obeys it, or tokens would differ."""
    applied = config if isinstance(config, RestoreConfig) else None
    live = config.target == "live"
    return RestoreRequest(
        backup=config.backup,
        tables=(table.table,),
        days=days,
        schema=None if live else table.target.schema,
        in_place=True,
        create_missing=not live,
        on_conflict=config.policy,
        base=config.base or None,
        newer_by=config.newer_by or None,
        where=config.where or None,
        disable_triggers=config.disable_triggers,
        plan=(applied.plan.strip() or None) if applied else None,
        reason=reason,
        wait=applied.wait if applied else 0.0,
    )


def require_seen(config: RestoreConfig, table: TableAssets, workspace: Workspace) -> None:
    """Raise UsageError when the live table would be written to, however it is named, without a reason and a plan."""
    if not _is_live(config, table, workspace):
        return
    missing = [name for name, given in (("reason", config.reason), ("plan", config.plan)) if not given.strip()]
    if missing:
        raise UsageError(
            f"A restore into the live table {table.table} needs {' and '.join(missing)}.",
            meaning="Nothing was written: the live table is changed only as somebody has seen it before, and said why.",
            remedy=f"Materialize {table.preview.to_user_string()} for the same days; it shows what to paste here.",
        )


def restore_yaml(config: PreviewConfig, table: TableAssets, *, backup: str, base: str, token: str) -> str:
    """The launchpad's configuration that carries out a previewed plan; `backup` and `base` are exact ids."""
    given = {
        **config.model_dump(exclude_defaults=True),
        "backup": backup,
        "target": config.target,
        "policy": config.policy,
    }
    given |= {"base": base} if base else {}
    return launch_yaml(table.restored.to_python_identifier(), {**given, "plan": token, "reason": ""})


def launch_yaml(op: str, given: Mapping[str, object]) -> str:
    """The launchpad's configuration of one op. Values are JSON, which is YAML as well, whatever a condition holds."""
    lines = ["ops:", f"  {op}:", "    config:"]
    for name, value in given.items():
        comment = "  # say why" if name == "reason" else ""
        lines.append(f"      {name}: {json.dumps(value, ensure_ascii=False)}{comment}")
    return "\n".join(lines)


def _is_live(config: PreviewConfig, table: TableAssets, workspace: Workspace) -> bool:
    if config.target == "live":
        return True
    return table.target == table.table and workspace.restore_url() == workspace.source_url()
