"""Recovery drills as runs: the report as metadata, the check of `backup`, and failures that fail the run."""

from __future__ import annotations

import dagster as dg

from moi_backup.operations.list_drills import show_drill
from tests.orchestration.platform import Platform, failure_of

DRILL = dg.AssetKey("recovery_drill")
CHECK = dg.AssetCheckKey(dg.AssetKey("backup"), "drill_passed")


def drill(platform: Platform, **config: object) -> dg.ExecuteInProcessResult:
    """Run the job."""
    return platform.run("drill_recovery", config={"recovery_drill": {"config": config}})


def answers(platform: Platform) -> list[dg.AssetCheckEvaluation]:
    """Every evaluation of the check, the newest first."""
    records = platform.instance.event_log_storage.get_asset_check_execution_history(CHECK, limit=10)
    events = [record.event.dagster_event for record in records if record.event]
    return [event.asset_check_evaluation_data for event in events if event is not None]


def alone(platform: Platform) -> dg.AssetCheckEvaluation:
    """Run the check by itself."""
    job = platform.definitions.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection=set(), asset_check_selection={CHECK}
    )
    (evaluation,) = job.execute_in_process(instance=platform.instance).get_asset_check_evaluations()
    return evaluation


def test_a_drill_shows_its_report_and_passes_the_check(platform: Platform) -> None:
    """Every check with its verdict, the time of recovery, and the report's id; the check of `backup` passes with it."""
    platform.run("full_backup")
    result = drill(platform, reason="a test")
    assert result.success, failure_of(result)
    report = show_drill(platform.workspace, "latest")
    (event,) = platform.logged(DRILL)
    told = {name: value.value for name, value in event.metadata.items()}
    assert (told["report"], told["verdict"], told["covers"]) == (report.id, "passed", "everything")
    assert (told["recovery time"], told["everything is"]) == (report.recovery.seconds, "measured")
    assert str(told["checks"]).count("| passed |") == len(report.checks)
    assert all(table.name.replace("_", r"_") in str(told["tables"]) for table in report.tables)
    assert str(told["reason"]).startswith("a test (Dagster run ")
    assert platform.tags(result) == {
        "moi/backup": report.backup,
        "moi/drill": report.id,
        "moi/verdict": "passed",
    }
    assert [answer.passed for answer in answers(platform)] == [True]
    assert alone(platform).passed


def test_a_drill_of_some_tables_forecasts_the_rest(platform: Platform) -> None:
    """The metadata says that only some tables were drilled, and that the time for everything is a forecast."""
    platform.run("full_backup")
    assert drill(platform, tables=["meta_import_data"]).success
    told = platform.logged(DRILL)[-1].metadata
    assert (told["covers"].value, told["everything is"].value) == ("some tables", "forecast")
    assert told["recovery time of everything"].value > 0


def test_a_failing_drill_fails_its_run_and_the_check(platform: Platform) -> None:
    """A lost object: the failure names what cannot be recovered, and the report is shown nevertheless."""
    platform.run("full_backup")
    chunk = min((platform.folder / "repository").glob("chunks/public.meta_import_data/*/*.parquet"))
    chunk.unlink()
    result = drill(platform)
    told = failure_of(result)
    report = show_drill(platform.workspace, "latest")
    assert report.verdict == "failed"
    assert f"report {report.id}" in told
    assert "public.meta_import_data" in told
    assert platform.logged(DRILL) == []
    (seen,) = platform.instance.fetch_observations(DRILL, limit=5).records
    assert seen.asset_observation is not None
    assert seen.asset_observation.metadata["verdict"].value == "failed"
    (answer,) = answers(platform)
    assert (answer.passed, answer.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert not alone(platform).passed
    assert platform.tags(result)["moi/verdict"] == "failed"


def test_without_a_drill_the_check_does_not_pass(platform: Platform) -> None:
    """Nothing proved is nothing passed; it is a warning, and no backup's run waits for it."""
    assert "no complete backup" in str(alone(platform).description)
    assert platform.run("full_backup").success
    evaluation = alone(platform)
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "There is no drill yet" in str(evaluation.description)


def test_a_drill_that_cannot_begin_fails_in_plain_words(platform: Platform) -> None:
    """A table that the backup does not hold is a usage error, without a report and without an evaluation."""
    platform.run("full_backup")
    assert "does not hold public.nothing" in failure_of(drill(platform, tables=["nothing"]))
    assert answers(platform) == []
