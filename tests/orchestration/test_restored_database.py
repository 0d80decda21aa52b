"""Restores of everything: into new tables, proved, told table by table, and never over anything that exists."""

from __future__ import annotations

import dagster as dg

from tests.orchestration.platform import Platform, failure_of

DATABASE = dg.AssetKey("restored_database")
TABLES = ("google_import_data", "meta_import_data", "shopify_import_data")


def restore(platform: Platform, **config: object) -> dg.ExecuteInProcessResult:
    """Run the job."""
    return platform.run("restore_everything", config={"restored_database": {"config": config}})


def counts(platform: Platform, schema: str) -> list[int]:
    """Rows of each table of a schema."""
    return [platform.sql(f'SELECT count(*) FROM "{schema}".{table}')[0][0] for table in TABLES]


def test_all_tables_of_a_backup_are_made_in_the_configured_schema(platform: Platform) -> None:
    """Every table is there with its rows, the metadata tells of each, and the run is found by its backup."""
    platform.run("full_backup")
    result = restore(platform, reason="a look at the past")
    assert result.success, failure_of(result)
    assert counts(platform, "moi_restored") == counts(platform, "public")
    (event,) = platform.logged(DATABASE)
    assert event.metadata["restored"].value == "3 of 3 tables"
    assert all(f"moi_restored.{table} | restored" in str(event.metadata["tables"].value) for table in TABLES)
    assert event.metadata["reason"].value.startswith("a look at the past (Dagster run ")
    tags = platform.tags(result)
    assert (tags["moi/backup"], tags["moi/target"]) == (platform.backups()[0].id, "moi_restored")
    assert tags["moi/restore"] == event.metadata["restore"].value


def test_what_exists_is_never_written_to(platform: Platform) -> None:
    """Into their own schemas the tables that live are refused, the lost one comes back, and the run fails with both."""
    platform.run("full_backup")
    platform.sql("UPDATE google_import_data SET currency_code = 'now'")
    lost = platform.sql("SELECT count(*) FROM meta_import_data")
    platform.sql("DROP TABLE meta_import_data CASCADE")
    result = restore(platform, own_schemas=True)
    told = failure_of(result)
    assert "Restored 1 of 3 tables." in told
    assert "public.google_import_data (refused): public.google_import_data: it exists" in told
    assert platform.sql("SELECT count(*) FROM meta_import_data") == lost
    assert platform.sql("SELECT DISTINCT currency_code FROM google_import_data") == [("now",)]
    assert platform.logged(DATABASE) == []


def test_an_interrupted_restore_is_resumed(platform: Platform) -> None:
    """With `resume` a table that is wholly the backup's counts as there, and the others are made."""
    platform.run("full_backup")
    assert restore(platform, schema="second", tables=["meta_import_data"]).success
    assert "it exists" in failure_of(restore(platform, schema="second"))
    assert restore(platform, schema="third", tables=["meta_import_data"]).success
    assert restore(platform, schema="third", resume=True).success
    told = str(platform.logged(DATABASE)[-1].metadata["tables"].value)
    assert "third.meta_import_data | present" in told
    assert counts(platform, "third") == counts(platform, "public")


def test_damaged_days_are_told_where_a_person_chose_to_skip_them(platform: Platform) -> None:
    """Without the choice the table fails and is named; with it the rest comes back, and the days are listed."""
    platform.run("full_backup")
    chunk = min((platform.folder / "repository").glob("chunks/public.meta_import_data/*/*.parquet"))
    chunk.unlink()
    assert "moi_restored.meta_import_data" in failure_of(restore(platform))
    assert restore(platform, schema="second", damaged="skip").success
    told = platform.logged(DATABASE)[-1].metadata
    assert "rows are damaged; left out" in str(told["days not of this backup"].value)
    rows = counts(platform, "second")
    assert 0 < rows[1] < counts(platform, "public")[1]


def test_a_restore_of_everything_is_never_retried_by_itself(platform: Platform) -> None:
    """Its job says 0, as every job that a person starts."""
    for job in ("restore_everything", "drill_recovery", "undo_restore"):
        assert platform.definitions.resolve_job_def(job).tags["dagster/max_retries"] == "0"
