"""The backup jobs: what they mark, what they say, and what a killed one leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import dagster as dg
import psycopg

from moi_backup.operations.take_backup import BackupRequest, take_backup
from tests.orchestration.platform import Platform, make_platform, settings_of

RUN_A_BACKUP = """
import sys
import dagster as dg
from moi_assets.definitions import build_definitions
if __name__ == "__main__":
    with dg.DagsterInstance.ephemeral() as instance:
        build_definitions().resolve_job_def("full_backup").execute_in_process(instance=instance)
"""


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """The metadata of the `backup` asset of a successful run."""
    assert result.success
    events = result.asset_materializations_for_node("backup")
    (event,) = [event for event in events if event.asset_key.path == ["backup"]]
    return {key: value.value for key, value in event.metadata.items()}


def test_a_full_backup_marks_every_day_that_has_rows(platform: Platform) -> None:
    """Each day is materialized once with rows, bytes, digest, backup and five rows; every check is evaluated."""
    metadata = metadata_of(platform.run("full_backup"))
    (backup,) = platform.backups()
    rows = platform.rows_by_day("2025-09-01", "2025-10-31")
    logged = platform.logged()
    assert {event.partition: event.metadata["rows"].value for event in logged} == rows
    assert len(logged) == len(rows)
    assert all((event.tags or {})["dagster/data_version"] == event.metadata["digest"].value for event in logged)
    assert {event.metadata["backup"].value for event in logged} == {backup.id} == {metadata["backup"]}
    assert 0 < sum(event.metadata["bytes"].value for event in logged) <= sum(entry.bytes for entry in backup.tables)
    assert logged[-1].metadata["preview"].value.count("\n") == 1 + min(5, logged[-1].metadata["rows"].value)
    assert platform.checks() == {"complete": True, "required_fields": True, "readable": True}


def test_a_day_is_marked_again_only_when_its_rows_changed(platform: Platform) -> None:
    """An updated day is marked once more, an emptied one with 0 rows, and a run that finds no change marks nothing."""
    platform.run("full_backup")
    before = len(platform.logged())
    platform.sql("UPDATE meta_import_data SET amount_spent = 1 WHERE day = '2025-10-02'")
    platform.sql("DELETE FROM meta_import_data WHERE day = '2025-10-05'")
    assert metadata_of(platform.run("incremental_backup"))["days marked"] == 2
    changed = {event.partition: event for event in platform.logged()[before:]}
    assert changed.keys() == {"2025-10-02", "2025-10-05"}
    assert changed["2025-10-05"].metadata["rows"].value == 0
    for job in ("incremental_backup", "full_backup"):
        assert metadata_of(platform.run(job))["days marked"] == 0


def test_days_changed_in_a_backup_by_the_command_line_are_marked_by_the_next_run(platform: Platform) -> None:
    """Events mirror the manifests, whoever took the backups in between."""
    platform.run("full_backup")
    platform.sql("UPDATE google_import_data SET cost = cost + 1 WHERE day = '2025-10-07'")
    take_backup(platform.workspace, BackupRequest(reason="by the command line"))
    metadata = metadata_of(platform.run("incremental_backup"))
    assert metadata["days marked"] == 1
    (last,) = platform.logged(dg.AssetKey("google_import_data_snapshot"))[-1:]
    assert (last.partition, last.metadata["backup"].value) == ("2025-10-07", metadata["backup"])


def test_days_without_a_partition_are_listed_and_not_marked(platform: Platform) -> None:
    """Days before the first partition, far ahead and infinite are backed up and named, not made up as partitions."""
    for day in ("2019-05-01", "2199-01-01", "infinity"):
        columns = "day, campaign_name, ad_set_name, ad_name"
        platform.sql(f"INSERT INTO meta_import_data ({columns}) VALUES ('{day}', 'a', 'b', 'c')")
    told = metadata_of(platform.run("full_backup"))["days without a partition"]
    assert [line.split()[2] for line in told.splitlines()] == ["2019-05-01:", "2199-01-01:", "infinity:"]
    assert not {event.partition for event in platform.logged()} & {"2019-05-01", "2199-01-01", "infinity"}


def test_a_limited_backup_says_so_and_marks_only_what_it_covers(platform: Platform) -> None:
    """Tables and days in the launchpad limit the backup; no other day counts as emptied."""
    config = {"backup": {"config": {"mode": "full", "tables": ["meta_import_data"], "days": "2025-10-01..2025-10-03"}}}
    metadata = metadata_of(platform.run("full_backup", config=config))
    assert metadata["coverage"] == "tables: public.meta_import_data; days: 2025-10-01..2025-10-03"
    assert [event.partition for event in platform.logged()] == ["2025-10-01", "2025-10-02", "2025-10-03"]
    assert metadata_of(platform.run("full_backup"))["days marked"] > 3
    assert len(platform.logged()) == len({event.partition for event in platform.logged()})
    assert metadata_of(platform.run("full_backup", config=config))["days marked"] == 0


def test_tables_that_the_configuration_does_not_name_are_backed_up_and_named(
    database: str, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """Without `[tables]` no table has assets; the backup holds all of the schema and says which Dagster cannot show."""
    platform = make_platform(database, tmp_path, instance, configuration="[source]\nschema = 'public'\n")
    metadata = metadata_of(platform.run("full_backup"))
    assert len(platform.backups()[0].tables) == 3
    assert "- public.meta_import_data" in metadata["tables without assets"]
    assert metadata["days marked"] == 0


def test_a_backup_while_another_operation_writes_fails_in_plain_words(platform: Platform) -> None:
    """The lease is the guarantee, not Dagster's pool: the run says who holds it, and nothing is listed."""
    repository = platform.workspace.open()
    with platform.workspace.writing(repository, operation="restore", wait=0):
        result = platform.run("full_backup", config={"backup": {"config": {"mode": "full", "wait": 0.0}}})
    (failure,) = result.filter_events(lambda event: event.event_type is dg.DagsterEventType.STEP_FAILURE)
    assert "restore" in failure.step_failure_data.user_failure_data.description
    assert platform.backups() == []


def test_a_killed_run_leaves_no_backup_and_the_next_one_works_unaided(platform: Platform) -> None:
    """Kill -9 in the middle of a backup: nothing is listed, and the dead process's lease holds nobody up."""
    script = platform.folder / "run_a_backup.py"
    script.write_text(RUN_A_BACKUP)
    environ = os.environ | settings_of(platform.url, platform.folder) | {"PYTHONPATH": str(Path.cwd())}
    with psycopg.connect(platform.url) as holder:
        holder.execute("LOCK TABLE meta_import_data IN ACCESS EXCLUSIVE MODE")
        run = subprocess.Popen([sys.executable, str(script)], env=environ, stderr=subprocess.DEVNULL)
        _wait_for_blocked_backend(platform)
        run.send_signal(signal.SIGKILL)
        run.wait(10)
    assert platform.backups() == []
    began = monotonic()
    assert platform.run("full_backup").success
    assert len(platform.backups()) == 1
    assert monotonic() - began < 30


def _wait_for_blocked_backend(platform: Platform) -> None:
    deadline = monotonic() + 30
    while monotonic() < deadline:
        if platform.sql("SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'meta_import_data'::regclass"):
            return
        sleep(0.05)
    raise AssertionError("the run did not get as far as the table's lock")
