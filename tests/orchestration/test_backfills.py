"""Backfills of snapshot partitions by a person."""

from __future__ import annotations

import dagster as dg

from tests.orchestration.platform import META, Platform

SNAPSHOTS = [dg.AssetKey(f"{name}_import_data_snapshot") for name in ("meta", "google", "shopify")]


def test_a_backfill_of_several_tables_and_days_is_one_backup(platform: Platform) -> None:
    """Three tables over ten days: one run, one database snapshot, and every day with its own metadata."""
    result = platform.materialize(SNAPSHOTS, days=("2025-10-01", "2025-10-10"))
    assert result.success
    (backup,) = platform.backups()
    assert (str(backup.coverage.days), len(backup.coverage.tables or ())) == ("2025-10-01..2025-10-10", 3)
    rows = platform.rows_by_day("2025-10-01", "2025-10-10")
    logged = platform.logged()
    assert {event.partition: event.metadata["rows"].value for event in logged} == rows
    assert all(event.metadata["backup"].value == backup.id for event in logged)
    assert all("campaign_name" in event.metadata["preview"].value for event in logged)
    assert len({event.metadata["digest"].value for event in logged}) == len(logged)


def test_a_backfill_of_one_table_leaves_the_others_alone(platform: Platform) -> None:
    """Only the chosen table is backed up and marked."""
    assert platform.materialize([META], days=("2025-10-02", "2025-10-02")).success
    (backup,) = platform.backups()
    assert backup.coverage.tables == ("public.meta_import_data",)
    assert platform.logged(SNAPSHOTS[1]) == []


def test_a_day_without_rows_is_materialized_empty(platform: Platform) -> None:
    """A backfilled day that has no rows is shown with 0 rows, not as missing."""
    assert platform.materialize([META], days=("2025-09-19", "2025-09-21")).success
    assert [event.metadata["rows"].value for event in platform.logged()][:2] == [0, 0]
    assert platform.logged()[0].metadata["digest"].value == "empty"


def test_backfilled_days_are_not_marked_again_while_they_are_unchanged(platform: Platform) -> None:
    """The next backup compares with what the backfill's backup holds: a day is marked when it changed since."""
    platform.materialize([META], days=("2025-09-19", "2025-10-20"))
    before = len(platform.logged())
    platform.sql("UPDATE meta_import_data SET cpm = 2 WHERE day = '2025-10-04'")
    assert platform.run("full_backup").success
    assert [event.partition for event in platform.logged()[before:]] == ["2025-10-04"]
