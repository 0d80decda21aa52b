"""Fires when the newest complete backup is older than 26 hours, or there is none: an incremental backup then runs."""

from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition  # has no public name

from moi_backup.errors import UsageError
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.backups import LATEST, resolve_backup

MAXIMUM_AGE = timedelta(hours=26)


def build_backup_age_sensor(job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """Off until it is switched on, as long as no schedule takes backups anyway."""

    @dg.sensor(
        name="backup_age",
        job=job,
        minimum_interval_seconds=300,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Takes an incremental backup when the newest complete one is older than 26 hours. Once for each.",
    )
    def backup_age(workspace: dg.ResourceParam[Workspace]) -> dg.RunRequest | dg.SkipReason:
        newest = newest_backup(workspace)
        late = overdue(newest[1] if newest else None, now=workspace.clock.now())
        # The run key names the backup that is too old: a tick asks for its successor once, however often it ticks.
        return dg.RunRequest(run_key=newest[0] if newest else "none") if late else dg.SkipReason("Not overdue.")

    return backup_age


def newest_backup(workspace: Workspace) -> tuple[str, datetime] | None:
    """Id and snapshot time of the newest complete backup, from the manifests: the truth, whoever took it."""
    repository, chain = workspace.history()
    try:
        manifest = resolve_backup(repository, chain, LATEST)
    except UsageError:
        return None
    return manifest.id, datetime.fromisoformat(manifest.started_at).astimezone(UTC)


def overdue(taken: datetime | None, *, now: datetime) -> bool:
    """Whether the newest complete backup is too old, or missing."""
    return taken is None or now - taken > MAXIMUM_AGE
