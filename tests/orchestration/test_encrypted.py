"""The platform over an encrypted repository: everything works with the key, and what Dagster shows is no secret."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg
import pytest

from moi_backup.operations.export_keys import export_keys
from moi_backup.repository.key_text import generate_master
from tests.orchestration.platform import CONFIGURATION, META, Platform, failure_of, make_platform, open_platform

KEYS = {"MOI_KEY_1": generate_master(os.urandom)}
RESTORED = dg.AssetKey("meta_import_data_restored")
PREVIEW = dg.AssetKey("meta_import_data_restore_preview")
DAY = "2025-10-05"
NAMES = ("campaign_name", "ad_set_name", "ad_name", "amount_spent", "cpm")
"""The columns of the Meta table outside of scope default."""


@pytest.fixture
def platform(database: str, tmp_path: Path, instance: dg.DagsterInstance) -> Platform:
    """A platform whose repository is encrypted, with the platform tables' own scopes."""
    return make_platform(database, tmp_path, instance, keys=KEYS)


def with_keys(platform: Platform, keys: dict[str, str]) -> Platform:
    """The same platform for processes with other keys."""
    return open_platform(platform.url, platform.folder, platform.instance, configuration=CONFIGURATION, keys=keys)


def test_a_backup_marks_its_days_and_its_checks_pass(platform: Platform) -> None:
    """Days, digests and checks are as without encryption, and an unchanged database marks no day again."""
    assert platform.run("full_backup").success
    rows = platform.rows_by_day("2025-09-01", "2025-10-31")
    assert {event.partition: event.metadata["rows"].value for event in platform.logged()} == rows
    assert platform.checks() == {"complete": True, "required_fields": True, "readable": True}
    before = len(platform.logged())
    platform.sql(f"UPDATE meta_import_data SET cpm = 3 WHERE day = '{DAY}'")
    assert platform.run("incremental_backup").success
    assert [event.partition for event in platform.logged()[before:]] == [DAY]


def test_previews_show_scope_default_alone(platform: Platform) -> None:
    """What leaves the encryption is visible to everybody who sees the UI: no name and no value of another scope."""
    assert platform.run("full_backup").success
    previews = [str(event.metadata["preview"].value) for event in platform.logged()]
    assert all(preview.startswith("| id | day |") for preview in previews), previews[0]
    values = [str(value) for (value,) in platform.sql("SELECT DISTINCT campaign_name FROM meta_import_data")]
    assert [word for word in (*NAMES, *values) if any(word in preview for preview in previews)] == []


def test_a_backfill_and_a_restored_day_are_what_they_were(platform: Platform) -> None:
    """A lost day comes back from the encrypted backup, all of its columns, proved as always."""
    assert platform.materialize([META], days=("2025-10-01", "2025-10-07")).success
    assert platform.run("full_backup").success
    day = f"SELECT t::text FROM {{}} t WHERE day = '{DAY}' ORDER BY 1"
    before = platform.sql(day.format("meta_import_data"))
    platform.sql(f"DELETE FROM meta_import_data WHERE day = '{DAY}'")
    assert platform.materialize([RESTORED], days=(DAY, DAY)).success
    assert before
    assert platform.sql(day.format("moi_restored.meta_import_data")) == before


def test_what_a_restore_would_change_is_told_of_scope_default_alone(platform: Platform) -> None:
    """Sums and names of changed columns of other scopes are in neither the preview nor the result; counts are."""
    assert platform.run("full_backup").success
    platform.sql(f"UPDATE meta_import_data SET cpm = 3, amount_spent = 7, ctr = 0.5 WHERE day = '{DAY}'")
    config = {"config": {"target": "live"}}
    previewed = platform.materialize([PREVIEW], days=(DAY, DAY), config={"meta_import_data_restore_preview": config})
    assert previewed.success
    (event,) = platform.logged(PREVIEW)
    config["config"] |= {"plan": str(event.metadata["plan"].value), "reason": "a test"}
    assert platform.materialize([RESTORED], days=(DAY, DAY), config={"meta_import_data_restored": config}).success
    for shown in (event, platform.logged(RESTORED)[-1]):
        text = str(shown.metadata["changes"].value)
        assert "ctr" in text
        assert [name for name in NAMES if name.replace("_", " ") in text or name in text] == []
        assert shown.metadata["rows updated"].value > 0


def test_without_the_key_a_run_fails_in_plain_words(platform: Platform) -> None:
    """Backup and restore name the key that is needed; nothing is written."""
    assert platform.run("full_backup").success
    stranger = with_keys(platform, {})
    told = [failure_of(stranger.run("full_backup")), failure_of(stranger.materialize([RESTORED], days=(DAY, DAY)))]
    assert ["set MOI_KEY_1" in text for text in told] == [True, True]
    assert len(platform.backups()) == 1


def test_a_holder_of_some_scopes_gets_a_refusal_by_column(platform: Platform) -> None:
    """A restore of a table with locked columns is refused by their names; a backup is complete or none."""
    assert platform.run("full_backup").success
    holder = with_keys(platform, {"MOI_KEY_1": export_keys(platform.workspace, ["financial"])})
    assert "sensitive_campaigns" in failure_of(holder.run("full_backup"))
    assert "campaign_name" in failure_of(holder.materialize([RESTORED], days=(DAY, DAY)))
