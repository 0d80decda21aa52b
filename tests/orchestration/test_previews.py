"""Previews of restores: they write nothing, and what they show is what the pasted configuration does, or nothing is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from tests.orchestration.platform import CONFIGURATION, Platform, failure_of, make_platform

RESTORED = dg.AssetKey("meta_import_data_restored")
PREVIEW = dg.AssetKey("meta_import_data_restore_preview")
LOST, CHANGED, SAME = "2025-10-05", "2025-10-06", "2025-10-07"
DAYS = (LOST, SAME)


@pytest.fixture
def damaged(platform: Platform) -> Platform:
    """A platform with a backup, of which one day was deleted afterwards and one day's amounts were doubled."""
    platform.run("full_backup")
    platform.sql(f"DELETE FROM meta_import_data WHERE day = '{LOST}'")
    platform.sql(f"UPDATE meta_import_data SET amount_spent = amount_spent * 2 + 1 WHERE day = '{CHANGED}'")
    return platform


def preview(platform: Platform, **config: object) -> dict[str, Any]:
    """Preview a restore of the three days; the metadata by name."""
    given = {"meta_import_data_restore_preview": {"config": config}}
    result = platform.materialize([PREVIEW], days=DAYS, config=given)
    assert result.success, failure_of(result)
    return {name: value.value for name, value in platform.logged(PREVIEW)[-1].metadata.items()}


def pasted(shown: dict[str, Any], **more: object) -> dict[str, Any]:
    """The configuration that a preview offers, as a person fills it in."""
    text = str(shown["to apply it"]).partition("```yaml\n")[2].partition("\n```")[0]
    ops = yaml.safe_load(text)["ops"]
    ops["meta_import_data_restored"]["config"] |= more
    return ops


def rows_of(platform: Platform, table: str = "meta_import_data") -> list[tuple[object, ...]]:
    """All rows of the days as text."""
    return platform.sql(f"SELECT t::text FROM {table} t WHERE day BETWEEN '{LOST}' AND '{SAME}' ORDER BY 1")


def test_a_preview_shows_every_day_that_would_change_and_writes_nothing(damaged: Platform) -> None:
    """Counts and sums by day, a mark on each day of the range, and the database and repository as before."""
    before = (rows_of(damaged), len(damaged.backups()))
    [(changed,)] = damaged.sql(f"SELECT count(*) FROM meta_import_data WHERE day = '{CHANGED}'")
    shown = preview(damaged, target="live", policy="take-backup")
    assert shown["rows inserted"] > 0
    assert (shown["rows updated"], shown["rows deleted"], shown["rows conflicts"]) == (changed, 0, changed)
    lines = [line for line in str(shown["changes"]).splitlines() if line.startswith("| 2025")]
    assert [line.split()[1] for line in lines] == [LOST, CHANGED]
    assert "amount_spent" in lines[1]
    assert (rows_of(damaged), len(damaged.backups())) == before
    assert {event.partition for event in damaged.logged(PREVIEW)} == {LOST, CHANGED, SAME}
    assert damaged.sql("SELECT 1 FROM pg_namespace WHERE nspname = 'moi_restored'") == []


def test_what_is_pasted_from_a_preview_restores_the_live_table(damaged: Platform) -> None:
    """The rows are those of the backup again, what was replaced is named, and the run is found by its tags."""
    backup = damaged.backups()[-1].id
    damaged.sql("CREATE TABLE expected AS SELECT * FROM meta_import_data")
    shown = preview(damaged, target="live", policy="take-backup", where="amount_spent > 0")
    result = damaged.materialize([RESTORED], days=DAYS, config=pasted(shown, reason="doubled by mistake"))
    assert result.success, failure_of(result)
    event = damaged.logged(RESTORED)[-1]
    told = {name: value.value for name, value in event.metadata.items()}
    for name in ("inserted", "updated", "deleted", "kept", "conflicts", "renumbered"):
        assert told[f"rows {name}"] == shown[f"rows {name}"], name
    assert told["changes"] == shown["changes"]
    assert told["undo"] in [manifest.id for manifest in damaged.backups()]
    assert damaged.tags(result) == {
        "moi/backup": backup,
        "moi/policy": "take-backup",
        "moi/restore": told["restore"],
        "moi/target": "public.meta_import_data",
    }
    again = preview(damaged, target="live")
    assert (again["rows inserted"], again["rows updated"], again["rows deleted"]) == (0, 0, 0)
    assert "No row differs" in again["changes"]


def test_a_plan_is_refused_once_the_live_rows_are_others(damaged: Platform) -> None:
    """A row that changes between the preview and the restore stops it, and is left as it is."""
    shown = preview(damaged, target="live")
    damaged.sql(f"UPDATE meta_import_data SET amount_spent = 42 WHERE day = '{SAME}'")
    before = rows_of(damaged)
    result = damaged.materialize([RESTORED], days=DAYS, config=pasted(shown, reason="a test"))
    assert "is not what would be done now" in failure_of(result)
    assert rows_of(damaged) == before
    assert damaged.logged(RESTORED) == []


@pytest.mark.parametrize(("kept", "missing"), [("reason", "plan"), ("plan", "reason")])
def test_the_live_table_is_restored_by_plan_and_reason_alone(damaged: Platform, kept: str, missing: str) -> None:
    """Without one of both nothing is written, and the failure names it and the preview."""
    before = rows_of(damaged)
    config = {"target": "live", kept: "11111111-222222222222"}
    given = {"meta_import_data_restored": {"config": config}}
    told = failure_of(damaged.materialize([RESTORED], days=DAYS, config=given))
    assert f"A restore into the live table public.meta_import_data needs {missing}." in told
    assert "meta_import_data_restore_preview" in told
    assert rows_of(damaged) == before


def test_a_configured_target_that_is_the_live_table_needs_a_plan_as_well(
    database: str, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """`[restore]` may name the live schema, and then a restore without a preview is refused."""
    live = f'{CONFIGURATION}\n[restore]\nschema = "public"\n'
    platform = make_platform(database, tmp_path, instance, configuration=live)
    platform.run("full_backup")
    platform.sql(f"DELETE FROM meta_import_data WHERE day = '{LOST}'")
    assert "needs reason and plan" in failure_of(platform.materialize([RESTORED], days=DAYS))
    ops = pasted(preview(platform), reason="deleted by mistake")
    assert platform.materialize([RESTORED], days=DAYS, config=ops).success
    assert platform.sql(f"SELECT count(*) > 0 FROM meta_import_data WHERE day = '{LOST}'") == [(True,)]


def test_a_plan_may_make_the_configured_table(damaged: Platform) -> None:
    """A preview of a target that does not exist says so, and its token allows exactly that."""
    shown = preview(damaged)
    assert "does not exist: it is made" in shown["changes"]
    assert damaged.materialize([RESTORED], days=DAYS, config=pasted(shown, reason="a test")).success
    assert {row[0][:2] for row in rows_of(damaged, "moi_restored.meta_import_data")} != set()
    again = damaged.materialize([RESTORED], days=DAYS, config=pasted(shown, reason="a test"))
    assert "is not what would be done now" in failure_of(again)


def test_a_plan_that_would_be_refused_shows_why_and_offers_no_token(damaged: Platform) -> None:
    """Policy fail with conflicts: the preview tells what differs and gives nothing to paste."""
    shown = preview(damaged, target="live", policy="fail")
    assert "differ" in shown["refused"] or "conflict" in shown["refused"]
    assert shown["rows conflicts"] > 0
    assert "plan" not in shown
    assert "to apply it" not in shown


def test_a_merge_keeps_what_changed_since_the_damage(damaged: Platform) -> None:
    """With the backup of the damaged state as base, a correction made afterwards stays and the rest comes back."""
    good = damaged.backups()[-1].id
    damaged.run("incremental_backup")
    damaged.sql(
        f"UPDATE meta_import_data SET amount_spent = 1234 WHERE id = "
        f"(SELECT min(id) FROM meta_import_data WHERE day = '{CHANGED}')"
    )
    shown = preview(damaged, backup=good, target="live", policy="merge", base="latest")
    assert (shown["backup"], shown["rows kept"]) == (good, 1)
    assert damaged.materialize([RESTORED], days=DAYS, config=pasted(shown, reason="a test")).success
    kept = damaged.sql(f"SELECT count(*) FROM meta_import_data WHERE day = '{CHANGED}' AND amount_spent = 1234")
    assert kept == [(1,)]
    assert preview(damaged, backup=good, target="live")["rows updated"] == 1
