"""Undos of restores in place from the UI: seen first, then done exactly so, and nothing that changed since is lost."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
import yaml

from tests.orchestration.platform import Platform, failure_of

RESTORED = dg.AssetKey("meta_import_data_restored")
PREVIEW, UNDO_PREVIEW, UNDONE = (
    dg.AssetKey(name) for name in ("meta_import_data_restore_preview", "undo_preview", "undone_restore")
)
DAY = "2025-10-05"


def pasted(platform: Platform, preview: dg.AssetKey, **more: object) -> dict[str, Any]:
    """The configuration that the last preview offers, with what a person adds."""
    text = str(platform.logged(preview)[-1].metadata["to apply it"].value)
    ops = yaml.safe_load(text.partition("```yaml\n")[2].partition("\n```")[0])["ops"]
    for op in ops.values():
        op["config"] |= more
    return ops


def rows_of(platform: Platform) -> list[tuple[object, ...]]:
    """All rows of the table as text."""
    return platform.sql("SELECT t::text FROM meta_import_data t ORDER BY id")


@pytest.fixture
def restored(platform: Platform) -> tuple[Platform, list[tuple[object, ...]], str]:
    """A platform in which a day of the live table was restored; the rows before that, and the restore's id."""
    platform.run("full_backup")
    platform.sql(f"UPDATE meta_import_data SET amount_spent = 7, ctr = 0.5 WHERE day = '{DAY}'")
    platform.sql(f"DELETE FROM meta_import_data WHERE id = (SELECT min(id) FROM meta_import_data WHERE day = '{DAY}')")
    before = rows_of(platform)
    ops = {"meta_import_data_restore_preview": {"config": {"target": "live"}}}
    assert platform.materialize([PREVIEW], days=(DAY, DAY), config=ops).success
    ops = pasted(platform, PREVIEW, reason="a mistake")
    assert platform.materialize([RESTORED], days=(DAY, DAY), config=ops).success
    assert rows_of(platform) != before
    return platform, before, str(platform.logged(RESTORED)[-1].metadata["restore"].value)


def look(platform: Platform, restore: str) -> dict[str, Any]:
    """Materialize the preview; its metadata."""
    job = platform.definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection={UNDO_PREVIEW})
    config = {"ops": {"undo_preview": {"config": {"restore_id": restore}}}}
    assert job.execute_in_process(instance=platform.instance, run_config=config).success
    return {name: value.value for name, value in platform.logged(UNDO_PREVIEW)[-1].metadata.items()}


def test_a_restore_is_undone_as_its_preview_showed(restored: tuple[Platform, list[tuple[object, ...]], str]) -> None:
    """The preview writes nothing; what is pasted from it brings back the rows before, kept in a record of its own."""
    platform, before, restore = restored
    after = rows_of(platform)
    shown = look(platform, restore)
    assert rows_of(platform) == after
    assert f"| {DAY} |" in shown["changes"]
    result = platform.run("undo_restore", config=pasted(platform, UNDO_PREVIEW, reason="it was right"))
    assert result.success, failure_of(result)
    assert rows_of(platform) == before
    told = {name: value.value for name, value in platform.logged(UNDONE)[-1].metadata.items()}
    assert (told["undoes"], told["changes"]) == (restore, shown["changes"])
    assert str(told["reason"]).startswith("it was right (Dagster run ")
    assert platform.tags(result) == {"moi/undoes": restore, "moi/restore": told["restore"]}
    assert told["restore"] != restore


def test_what_changed_since_the_restore_is_kept_and_told(
    restored: tuple[Platform, list[tuple[object, ...]], str],
) -> None:
    """A correction made after the restore is a conflict: it stays, and the preview says how many there are."""
    platform, before, restore = restored
    corrected = f"(SELECT max(id) FROM meta_import_data WHERE day = '{DAY}')"
    platform.sql(f"UPDATE meta_import_data SET amount_spent = 1234 WHERE id = {corrected}")
    shown = look(platform, restore)
    assert "Differ on both sides" in shown["changes"]
    assert platform.run("undo_restore", config=pasted(platform, UNDO_PREVIEW, reason="a test")).success
    assert platform.sql("SELECT count(*) FROM meta_import_data WHERE amount_spent = 1234") == [(1,)]
    assert len(set(before) - set(rows_of(platform))) == 1


def test_an_undo_is_refused_without_plan_and_reason_or_once_rows_are_others(
    restored: tuple[Platform, list[tuple[object, ...]], str],
) -> None:
    """Nothing is written without having been seen as it is now, and said why."""
    platform, _, restore = restored
    look(platform, restore)
    ops = pasted(platform, UNDO_PREVIEW, reason="a test")
    bare = {"undone_restore": {"config": {"restore_id": restore}}}
    assert "An undo needs reason and plan." in failure_of(platform.run("undo_restore", config=bare))
    assert "Which restore is undone was not said." in failure_of(
        platform.run("undo_restore", config={"undone_restore": {"config": {"plan": "x", "reason": "y"}}})
    )
    platform.sql(f"UPDATE meta_import_data SET cpm = 9 WHERE day = '{DAY}'")
    after = rows_of(platform)
    assert "is not what would be done now" in failure_of(platform.run("undo_restore", config=ops))
    assert rows_of(platform) == after
    assert platform.logged(UNDONE) == []
