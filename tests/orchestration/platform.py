"""A platform of a test's own: the application's database, an empty repository, and an instance of Dagster."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg

from moi_assets.definitions import build_definitions
from moi_backup.model.backup import BackupManifest
from moi_backup.operations.workspace import Workspace
from moi_backup.repository import repository
from moi_backup.repository.backups import read_backups
from moi_backup.settings import read_settings

CONFIGURATION = """
[source]
partition_start = 2025-09-01
timezone = "Asia/Kolkata"

[tables."public.meta_import_data"]
[tables."public.google_import_data"]
[tables."public.shopify_import_data"]
"""
NO_KEYS: Mapping[str, str] = {}
META = dg.AssetKey("meta_import_data_snapshot")


@dataclass(frozen=True)
class Platform:
    """What a test works with; `instance` is a real one, on SQLite or Postgres."""

    url: str
    folder: Path
    workspace: Workspace
    definitions: dg.Definitions
    instance: dg.DagsterInstance

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        """Run a statement in the protected database; its rows, if it has any."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(text.encode())
            return cursor.fetchall() if cursor.description else []

    def rows_by_day(self, first: str, last: str) -> dict[str, int]:
        """Live rows of the Meta table for each day of a range that has any."""
        where = f"day BETWEEN '{first}' AND '{last}'"
        return dict(self.sql(f"SELECT day::text, count(*) FROM meta_import_data WHERE {where} GROUP BY 1"))

    def run(self, job: str, *, config: dict[str, Any] | None = None, **more: Any) -> dg.ExecuteInProcessResult:
        """Execute a job in this process; failures are in the result."""
        found = self.definitions.resolve_job_def(job)
        run_config = {"ops": config} if config else None
        return found.execute_in_process(instance=self.instance, run_config=run_config, raise_on_error=False, **more)

    def materialize(
        self, keys: list[dg.AssetKey], *, days: tuple[str, str], config: dict[str, Any] | None = None
    ) -> dg.ExecuteInProcessResult:
        """Materialize a range of partitions as a backfill with one run does."""
        tags = {"dagster/asset_partition_range_start": days[0], "dagster/asset_partition_range_end": days[1]}
        job = self.definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(keys))
        return job.execute_in_process(
            instance=self.instance, tags=tags, run_config={"ops": config} if config else None, raise_on_error=False
        )

    def tags(self, result: dg.ExecuteInProcessResult) -> dict[str, str]:
        """The platform's own tags on a run."""
        run = self.instance.get_run_by_id(result.run_id)
        return {} if run is None else {name: text for name, text in run.tags.items() if name.startswith("moi/")}

    def backups(self) -> list[BackupManifest]:
        """All listed backups, oldest first."""
        found, chain = self.workspace.history()
        return list(read_backups(found, chain))

    def logged(self, key: dg.AssetKey = META) -> list[dg.AssetMaterialization]:
        """Every materialization of an asset, oldest first."""
        records = self.instance.fetch_materializations(key, limit=2000, ascending=True).records
        return [record.asset_materialization for record in records if record.asset_materialization]

    def checks(self, key: dg.AssetKey = META) -> dict[str, bool]:
        """The last outcome of every check of an asset."""
        storage = self.instance.event_log_storage
        found: dict[str, bool] = {}
        for name in ("complete", "required_fields", "readable"):
            records = storage.get_asset_check_execution_history(dg.AssetCheckKey(key, name), limit=1)
            for record in records:
                if record.event and record.event.dagster_event:
                    found[name] = record.event.dagster_event.asset_check_evaluation_data.passed
        return found


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    """Why the only step of a run failed, as the UI shows it."""
    (event,) = result.filter_events(lambda event: event.event_type is dg.DagsterEventType.STEP_FAILURE)
    return str(event.step_failure_data.user_failure_data.description)


def settings_of(url: str, folder: Path, *, configuration: str = CONFIGURATION) -> dict[str, str]:
    """The environment of a process that works on this platform; writes its moi.toml."""
    (folder / "moi.toml").write_text(configuration)
    return {
        "MOI_SOURCE_URL": url,
        "MOI_CONFIG": str(folder / "moi.toml"),
        "MOI_REPOSITORY": str(folder / "repository"),
        "MOI_STATE": str(folder / "state"),
        "MOI_DRILL_URL": f"{url.rpartition('/')[0]}/postgres",
    }


def make_platform(
    url: str,
    folder: Path,
    instance: dg.DagsterInstance,
    *,
    configuration: str = CONFIGURATION,
    keys: Mapping[str, str] = NO_KEYS,
) -> Platform:
    """A platform with an empty repository over an existing database; with keys it is encrypted."""
    platform = open_platform(url, folder, instance, configuration=configuration, keys=keys)
    clock, given = platform.workspace.clock, platform.workspace.settings.keys
    repository.create(platform.workspace.store(), now=clock.now(), entropy=os.urandom, keys=given)
    return platform


def open_platform(
    url: str, folder: Path, instance: dg.DagsterInstance, *, configuration: str, keys: Mapping[str, str] = NO_KEYS
) -> Platform:
    """A platform over an existing database and repository, under a new configuration or with other keys."""
    environ = {**settings_of(url, folder, configuration=configuration), **keys}
    workspace = Workspace(read_settings(environ, cwd=folder, effective_uid=os.geteuid()))
    definitions = build_definitions({"workspace": workspace}, configuration=workspace.configuration)
    return Platform(url, folder, workspace, definitions, instance)
