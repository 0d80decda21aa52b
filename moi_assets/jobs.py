"""The jobs: full and incremental backups of everything, restores, and drills. Schedules stand elsewhere.

Dagster retries a run whose process died as often as its tag `dagster/max_retries` says, and no other (dagster.yaml):
a killed backup leaves nothing that counts and may run again, a restore is a person's decision, and so is what to do
about a drill that was killed. A job cannot have the name of an asset.
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition  # has no public name

from moi_assets.assets.backup import BackupConfig, BackupMode
from moi_assets.tables import TableAssets

RETRIES = "dagster/max_retries"
_BACKUP_TAGS = {RETRIES: "2"}
_RESTORE_TAGS = {RETRIES: "0"}


def build_jobs(tables: Sequence[TableAssets]) -> list[UnresolvedAssetJobDefinition]:
    """All jobs; restores of days only where tables have assets."""
    jobs = [
        _backup_job("full_backup", BackupMode.full, "Back up every protected table, reading every row."),
        _backup_job(
            "incremental_backup", BackupMode.incremental, "Back up every protected table, reading what changed."
        ),
        _person_job(
            "restore_everything", "restored_database", "Restore all tables of a backup into new tables, and prove them."
        ),
        _person_job("undo_restore", "undone_restore", "Take back a restore in place, as its preview showed it."),
        _person_job(
            "drill_recovery", "recovery_drill", "Restore a backup into a scratch database, prove and measure it."
        ),
    ]
    return [*jobs, _restore_job(tables)] if tables else jobs


def _backup_job(name: str, mode: BackupMode, description: str) -> UnresolvedAssetJobDefinition:
    config = dg.RunConfig(ops={"backup": BackupConfig(mode=mode, reason=f"job {name}")})
    return dg.define_asset_job(
        name,
        selection=dg.AssetSelection.assets("backup").without_checks(),
        description=description,
        config=config,
        tags=_BACKUP_TAGS,
    )


def _person_job(name: str, asset: str, description: str) -> UnresolvedAssetJobDefinition:
    return dg.define_asset_job(
        name, selection=dg.AssetSelection.assets(asset), description=description, tags=_RESTORE_TAGS
    )


def _restore_job(tables: Sequence[TableAssets]) -> UnresolvedAssetJobDefinition:
    return dg.define_asset_job(
        "restore_days",
        selection=dg.AssetSelection.assets(*(table.restored for table in tables)),
        description="Write days of all tables back into the configured target (moi.toml, [restore]).",
        tags=_RESTORE_TAGS,
    )
