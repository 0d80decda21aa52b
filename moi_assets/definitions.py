"""Where Dagster finds everything (pyproject.toml, `[tool.dagster]`). Loading reads moi.toml and connects to nothing."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from moi_assets.assets.backup import build_backup
from moi_assets.assets.live_tables import live_table_specs
from moi_assets.assets.previews import build_previews
from moi_assets.assets.recovery_drill import build_recovery_drill
from moi_assets.assets.restored import build_restored
from moi_assets.assets.restored_database import build_restored_database
from moi_assets.assets.snapshots import build_snapshots
from moi_assets.assets.undone_restore import build_undone_restore
from moi_assets.checks.drill_passed import build_drill_passed
from moi_assets.checks.snapshot_checks import build_snapshot_checks
from moi_assets.jobs import build_jobs
from moi_assets.partitions import daily_partitions
from moi_assets.tables import table_assets
from moi_backup.model.configuration import Configuration
from moi_backup.settings import read_configuration
from resources.workspace import WorkspaceResource
from sensors.backup_age import build_backup_age_sensor

PROJECT = Path(__file__).resolve().parent.parent


def build_definitions(
    resource_overrides: Mapping[str, Any] | None = None, *, configuration: Configuration | None = None
) -> dg.Definitions:
    """All definitions of the platform; `configuration` None means what moi.toml (`MOI_CONFIG`) says."""
    configuration = configuration or read_configuration(os.environ, cwd=PROJECT)
    with warnings.catch_warnings():
        # Backfill policies are marked as beta; docs/dagster.md says which release they are tested with.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return _definitions(configuration, dict(resource_overrides or {}))


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads."""
    return build_definitions()


def _definitions(configuration: Configuration, resource_overrides: dict[str, Any]) -> dg.Definitions:
    tables, partitions = table_assets(configuration), daily_partitions(configuration)
    snapshots = [build_snapshots(tables, partitions)] if tables else []
    jobs = build_jobs(tables)
    return dg.Definitions(
        assets=[
            *live_table_specs(tables),
            build_backup(tables, partitions),
            *snapshots,
            *build_previews(tables, partitions),
            *build_restored(tables, partitions),
            build_restored_database(configuration.restore.schema),
            *build_undone_restore(),
            build_recovery_drill(),
        ],
        asset_checks=[*build_snapshot_checks(tables), build_drill_passed()],
        jobs=jobs,
        sensors=[build_backup_age_sensor(jobs[1])],
        resources={"workspace": WorkspaceResource(folder=str(PROJECT)), **resource_overrides},
        executor=dg.in_process_executor,
    )
