"""Restores by materializing partitions: into the configured target, from the chosen backup, proved."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from moi_backup.lake.digest import table_digest
from tests.orchestration.platform import CONFIGURATION, Platform, make_platform

RESTORED = dg.AssetKey("meta_import_data_restored")
DAY = "2025-10-05"


def restore(platform: Platform, days: tuple[str, str], **config: object) -> dg.ExecuteInProcessResult:
    """Materialize a range of the restored partitions of the Meta table."""
    return platform.materialize([RESTORED], days=days, config={"meta_import_data_restored": {"config": config}})


def rows_of(platform: Platform, table: str, first: str, last: str) -> list[tuple[object, ...]]:
    """All rows of a range of days as text."""
    where = f"day BETWEEN '{first}' AND '{last}'"
    return platform.sql(f"SELECT t::text FROM {table} t WHERE {where} ORDER BY 1")


def test_a_restored_day_has_the_rows_and_the_digest_of_the_backup(platform: Platform) -> None:
    """The day lost in the live table is in the scratch schema as it was, and the live table is not touched."""
    platform.run("full_backup")
    lost = rows_of(platform, "meta_import_data", DAY, DAY)
    (day,) = [event for event in platform.logged() if event.partition == DAY]
    platform.sql(f"DELETE FROM meta_import_data WHERE day = '{DAY}'")
    assert restore(platform, (DAY, DAY), backup="latest", reason="a test").success
    (event,) = platform.logged(RESTORED)
    assert rows_of(platform, "moi_restored.meta_import_data", DAY, DAY) == lost
    assert rows_of(platform, "meta_import_data", DAY, DAY) == []
    assert event.partition == DAY
    rows, digest = day.metadata["rows"].value, day.metadata["digest"].value
    assert event.metadata["digest"].value == table_digest([(DAY, rows, digest)])
    assert event.metadata["reason"].value.startswith("a test (Dagster run ")


def test_a_range_is_one_restore_from_the_chosen_backup(platform: Platform) -> None:
    """An older backup's id brings back the older rows of all days of the range, and a second time replaces them."""
    platform.run("full_backup")
    older = platform.backups()[0].id
    before = rows_of(platform, "meta_import_data", "2025-10-01", "2025-10-07")
    platform.sql("UPDATE meta_import_data SET amount_spent = 0")
    platform.run("incremental_backup")
    for replaced in (0, len(before)):
        assert restore(platform, ("2025-10-01", "2025-10-07"), backup=older[:-2]).success
        last = platform.logged(RESTORED)[-1]
        assert (last.metadata["backup"].value, last.metadata["rows replaced"].value) == (older, replaced)
        platform.sql("UPDATE moi_restored.meta_import_data SET amount_spent = 1")
    assert restore(platform, ("2025-10-01", "2025-10-07"), backup=older).success
    assert rows_of(platform, "moi_restored.meta_import_data", "2025-10-01", "2025-10-07") == before


def test_a_restore_that_cannot_be_done_fails_in_plain_words(platform: Platform) -> None:
    """An unknown backup is refused with what to do, and no partition is marked."""
    platform.run("full_backup")
    result = restore(platform, (DAY, DAY), backup="19990101T000000Z-000000")
    (failure,) = result.filter_events(lambda event: event.event_type is dg.DagsterEventType.STEP_FAILURE)
    assert "No backup is called '19990101T000000Z-000000'" in failure.step_failure_data.user_failure_data.description
    assert platform.logged(RESTORED) == []


def test_restores_are_never_retried_by_themselves(platform: Platform) -> None:
    """The job of restores says 0, and so does dagster.yaml for every run that says nothing; backups say 2."""
    tags = {job: platform.definitions.resolve_job_def(job).tags for job in ("restore_days", "full_backup")}
    assert tags["restore_days"]["dagster/max_retries"] == "0"
    assert tags["full_backup"]["dagster/max_retries"] == "2"


def test_the_target_is_the_configured_one(database: str, tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """`[restore]` names another schema: the day goes there, and the asset says so before it runs."""
    platform = make_platform(
        database, tmp_path, instance, configuration=f'{CONFIGURATION}\n[restore]\nschema = "Second look"\n'
    )
    platform.run("full_backup")
    assert restore(platform, (DAY, DAY)).success
    live = rows_of(platform, "meta_import_data", DAY, DAY)
    assert rows_of(platform, '"Second look".meta_import_data', DAY, DAY) == live
    metadata = platform.definitions.resolve_asset_graph().get(RESTORED).metadata
    assert metadata["target"] == "Second look.meta_import_data"
