"""The sensor `backup_age`: asks for a backup once when the newest is too old."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg

from moi_backup.operations.take_backup import BackupRequest, take_backup
from sensors.backup_age import overdue
from tests.orchestration.platform import Platform


def tick(platform: Platform) -> dg.RunRequest | dg.SkipReason | None:
    """One evaluation of the sensor."""
    sensor = platform.definitions.resolve_sensor_def("backup_age")
    with dg.build_sensor_context(resources={"workspace": platform.workspace}) as context:
        data = sensor.evaluate_tick(context)
    return data.run_requests[0] if data.run_requests else dg.SkipReason(data.skip_message)


def test_it_asks_for_a_backup_when_there_is_none_and_rests_when_there_is(platform: Platform) -> None:
    """No backup at all is overdue; a fresh one is not."""
    asked = tick(platform)
    assert isinstance(asked, dg.RunRequest)
    assert asked.run_key == "none"
    assert platform.definitions.resolve_sensor_def("backup_age").job_name == "incremental_backup"
    take_backup(platform.workspace, BackupRequest())
    assert isinstance(tick(platform), dg.SkipReason)


def test_a_backup_is_overdue_past_26_hours() -> None:
    """The age counts from the database snapshot's time."""
    now = datetime(2025, 10, 20, 4, 0, tzinfo=UTC)
    assert not overdue(now - timedelta(hours=26), now=now)
    assert overdue(now - timedelta(hours=26, seconds=1), now=now)
    assert overdue(None, now=now)
