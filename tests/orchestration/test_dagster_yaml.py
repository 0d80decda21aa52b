"""dagster.yaml as it stands in the project: Postgres storage by the URL that Postgres hands out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from moi_assets.definitions import PROJECT
from moi_backup.postgres.embedded import EmbeddedServer
from resources.dagster_storage import with_driver
from tests.orchestration.platform import make_platform


@pytest.fixture
def deployed(server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """The instance of the project's dagster.yaml, on a database of the embedded server."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE dagster")
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", server.url("dagster"))
    monkeypatch.setenv("DAGSTER_FILES", str(tmp_path / "files"))
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(PROJECT / "dagster.yaml", home)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("DROP DATABASE dagster WITH (FORCE)")


def test_a_backup_is_recorded_in_postgres(deployed: dg.DagsterInstance, database: str, tmp_path: Path) -> None:
    """A full backup's run, its days and its checks lie in Postgres, though the URL names no driver."""
    platform = make_platform(database, tmp_path, deployed)
    assert platform.run("full_backup").success
    assert len(platform.logged()) == 30
    assert platform.checks() == {"complete": True, "required_fields": True, "readable": True}
    assert platform.run("incremental_backup").success
    assert len(platform.logged()) == 30
    assert sum(record.dagster_run.is_success for record in deployed.get_run_records()) == 2


def test_nothing_is_told_to_anyone_and_only_backups_are_retried(deployed: dg.DagsterInstance) -> None:
    """Telemetry and pop-ups are off; a dead run is retried where its job says so and nowhere else."""
    assert not deployed.telemetry_enabled
    assert not deployed.nux_enabled
    assert deployed.run_retries_enabled
    assert deployed.run_retries_max_retries == 0
    assert not deployed.get_settings("run_retries")["retry_on_asset_or_op_failure"]
    assert deployed.run_monitoring_max_runtime_seconds > 24 * 3600


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgresql://u:p@h:5432/d?sslmode=require", "postgresql+psycopg2://u:p@h:5432/d?sslmode=require"),
        ("postgres://u@h/d", "postgresql+psycopg2://u@h/d"),
        ("postgresql+psycopg2://u@h/d", "postgresql+psycopg2://u@h/d"),
    ],
)
def test_a_url_without_a_driver_gets_psycopg2(given: str, used: str) -> None:
    """SQLAlchemy 2.1 would take psycopg 3, with which dagster-postgres fails."""
    assert with_driver(given) == used
