"""The asset checks: each can fail, says why with numbers, and runs by itself."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from tests.orchestration.platform import CONFIGURATION, META, Platform, make_platform, open_platform

CHECKS = ("complete", "required_fields", "readable")


def run_checks(platform: Platform) -> dict[str, dg.AssetCheckEvaluation]:
    """Run the three checks of the Meta table by themselves."""
    selection = {dg.AssetCheckKey(META, name) for name in CHECKS}
    job = platform.definitions.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection=set(), asset_check_selection=selection
    )
    result = job.execute_in_process(instance=platform.instance)
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def test_an_empty_required_field_fails_its_check_with_numbers(platform: Platform) -> None:
    """NULL and blank count alike over every stored row; the backup stands, so it is a warning."""
    platform.sql("UPDATE meta_import_data SET ad_name = NULL WHERE id = 7")
    platform.sql("UPDATE meta_import_data SET ad_set_name = '  ' WHERE day = '2025-10-03' AND id % 2 = 0")
    (blank,) = platform.sql("SELECT count(*) FROM meta_import_data WHERE ad_set_name = '  '")[0]
    assert platform.run("full_backup").success
    assert platform.checks() == {"complete": True, "required_fields": False, "readable": True}
    evaluation = run_checks(platform)["required_fields"]
    assert evaluation.severity is dg.AssetCheckSeverity.WARN
    assert evaluation.description == f"ad_set_name is empty in {blank} rows; ad_name is empty in 1 rows."
    assert evaluation.metadata["empty: ad_set_name"].value == blank
    assert "2025-10-03" in str(evaluation.metadata["first days with empty fields"].value)


def test_a_lost_or_rotten_object_fails_the_readable_check(platform: Platform) -> None:
    """An object whose bytes changed and one that is gone are both errors, named by their object."""
    platform.run("full_backup")
    chunks = sorted((platform.folder / "repository").glob("chunks/public.meta_import_data/*/*.parquet"))
    data = bytearray(chunks[0].read_bytes())
    data[len(data) // 2] ^= 1
    chunks[0].chmod(0o644)
    chunks[0].write_bytes(data)
    rotten = run_checks(platform)["readable"]
    assert (rotten.passed, rotten.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "instead of" in str(rotten.description)
    chunks[1].unlink()
    gone = run_checks(platform)["readable"]
    assert chunks[1].name in str(gone.description)
    assert gone.metadata["faults"].value == 1


def test_a_table_that_the_newest_backup_lacks_fails_every_check(
    database: str, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """A table that became protected after the newest backup is not called complete."""
    google = '[tables."public.google_import_data"]'
    before = make_platform(database, tmp_path, instance, configuration=google)
    assert before.run("full_backup").success
    after = open_platform(database, tmp_path, instance, configuration=CONFIGURATION)
    evaluations = run_checks(after)
    assert not any(evaluation.passed for evaluation in evaluations.values())
    assert "public.meta_import_data is not in backup" in str(evaluations["complete"].description)


def test_without_a_complete_backup_no_check_passes(platform: Platform) -> None:
    """A backfill of days alone protects nothing else, and its checks say so without failing the run."""
    assert platform.materialize([META], days=("2025-10-01", "2025-10-02")).success
    evaluations = run_checks(platform)
    assert not any(evaluation.passed for evaluation in evaluations.values())
    assert "no complete backup yet" in str(evaluations["complete"].description)
