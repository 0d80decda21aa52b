"""What Dagster loads: from the configuration alone, complete, and valid."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
import yaml

from moi_assets.definitions import PROJECT, build_definitions
from moi_assets.tables import table_assets
from moi_backup.model.configuration import default_configuration
from moi_backup.model.configuration_document import parse_configuration
from moi_backup.model.conflict_policy import POLICIES

UNPARTITIONED = ("backup", "restored_database", "recovery_drill", "undo_preview", "undone_restore")
NOWHERE = "postgresql://nobody@127.0.0.1:9/nothing"


def graph_of(text: str | None = None) -> dg.AssetGraph:
    """The asset graph of a moi.toml, or of none."""
    configuration = default_configuration() if text is None else parse_configuration(text, file="moi.toml")
    return build_definitions(configuration=configuration).resolve_asset_graph()


def test_loading_connects_to_nothing_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a database that does not answer and folders that do not exist, everything loads, and nothing is made."""
    for name in [name for name in os.environ if name.startswith("MOI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MOI_SOURCE_URL", NOWHERE)
    monkeypatch.setenv("MOI_STATE", str(tmp_path / "state"))
    assert build_definitions().resolve_job_def("full_backup").name == "full_backup"
    assert list(tmp_path.iterdir()) == []


def test_lineage_runs_from_the_live_table_to_the_restored_one() -> None:
    """Live -> snapshot -> restored and its preview, partitioned the same way; `backup` reads every live table."""
    graph = graph_of()
    for name in ("meta_import_data", "google_import_data", "shopify_import_data"):
        live, snapshot, restored = (dg.AssetKey(k) for k in (["live", name], f"{name}_snapshot", f"{name}_restored"))
        assert graph.get(live).is_external
        assert graph.get(snapshot).parent_keys == {live}
        assert graph.get(restored).parent_keys == {snapshot}
        preview = dg.AssetKey(f"{name}_restore_preview")
        assert graph.get(preview).parent_keys == {live, snapshot}
        assert graph.get(snapshot).partitions_def == graph.get(restored).partitions_def
        assert graph.get(snapshot).partitions_def == graph.get(preview).partitions_def
    backup = dg.AssetKey("backup")
    assert len(graph.get(backup).parent_keys) == 3
    for name in UNPARTITIONED[1:]:
        assert graph.get(dg.AssetKey(name)).parent_keys == {backup}


def test_every_asset_says_what_it_is_and_whose() -> None:
    """Group, owner, kinds and description are filled in, and every snapshot has its three checks."""
    graph = graph_of()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.group_name != "default", key
        assert node.owners == ["team:data"], key
        assert node.kinds, key
        assert node.description, key
    drills = graph.get_check_keys_for_assets({dg.AssetKey("backup")})
    assert {key.name for key in drills} == {"drill_passed"}
    checks = {key.name for key in graph.get_check_keys_for_assets({dg.AssetKey("meta_import_data_snapshot")})}
    assert checks == {"complete", "required_fields", "readable"}


def test_the_launchpad_explains_every_option_of_a_restore_and_a_drill() -> None:
    """Each field has a description and a default, so nothing must be filled in, and names are those of the CLI."""
    graph = graph_of()
    for name in (
        "meta_import_data_restored",
        "meta_import_data_restore_preview",
        "restored_database",
        "recovery_drill",
    ):
        fields = options_of(graph, name)
        assert {option for option, field in fields.items() if not field.description} == set(), name
        assert {option for option, field in fields.items() if field.is_required} == set(), name
    policy = options_of(graph, "meta_import_data_restored")["policy"]
    assert (policy.default_value, [value.config_value for value in policy.config_type.enum_values]) == (
        "replace",
        list(POLICIES),
    )
    assert all(f"{word}:" in str(policy.description) for word in POLICIES)
    assert "schema" in options_of(graph, "restored_database")


def test_what_the_document_shows_is_the_whole_launchpad() -> None:
    """Every block of docs/dagster.md is valid for its asset and names all of its options."""
    text = (PROJECT / "docs" / "dagster.md").read_text("utf-8")
    blocks = [yaml.safe_load(part.partition("```")[0]) for part in text.split("```yaml\n")[1:]]
    definitions, graph = build_definitions(configuration=default_configuration()), graph_of()
    shown = {name: block for block in blocks for name in block["ops"]}
    assert set(shown) == {"meta_import_data_restored", *UNPARTITIONED} - {"undo_preview"}
    job = definitions.resolve_implicit_global_asset_job_def()
    for name, block in shown.items():
        assert set(block["ops"][name]["config"]) == set(options_of(graph, name)), name
        assert dg.validate_run_config(job.get_subset(asset_selection={dg.AssetKey(name)}), block)


def options_of(graph: dg.AssetGraph, name: str) -> dict[str, dg.Field]:
    """The configuration of an asset's op as the launchpad knows it."""
    return graph.assets_def_for_key(dg.AssetKey(name)).op.config_schema.config_type.fields


def test_partitions_run_from_the_configured_day_to_today_in_the_configured_zone() -> None:
    """The first partition is `partition_start`, the last is today where the business is."""
    graph = graph_of('[source]\npartition_start = 2025-04-01\n[tables."public.orders"]\n')
    partitions = graph.get(dg.AssetKey("orders_snapshot")).partitions_def
    assert isinstance(partitions, dg.DailyPartitionsDefinition)
    now = datetime(2025, 4, 2, 19, 0, tzinfo=UTC)  # half past midnight of the third in Kolkata
    with dg.partition_loading_context(effective_dt=now):
        keys = list(partitions.get_partition_keys())
    assert keys == ["2025-04-01", "2025-04-02", "2025-04-03"]
    assert partitions.timezone == str(ZoneInfo("Asia/Kolkata"))


def test_a_file_without_tables_has_no_assets_of_tables() -> None:
    """Which tables the schema holds could only be known by connecting, so none is guessed."""
    keys = graph_of("[source]\nschema = 'public'\n").get_all_asset_keys()
    assert keys == {dg.AssetKey(name) for name in UNPARTITIONED}


def test_tables_of_any_name_get_keys_of_their_own() -> None:
    """Names that Dagster cannot take, and equal names in two schemas, stay apart, also where they are restored."""
    text = '[tables."public.Ad spend"]\n[tables."public.Ad-spend"]\n[tables."shop.orders"]\n[tables."public.orders"]\n'
    tables = table_assets(parse_configuration(text, file="moi.toml"))
    assert len({table.slug for table in tables}) == 4
    assert [table.slug for table in tables][2:] == ["shop__orders", "orders"]
    assert [str(table.target) for table in tables][2:] == ["moi_restored_shop.orders", "moi_restored_public.orders"]
    assert len(graph_of(text).get_all_asset_keys()) == 16 + len(UNPARTITIONED)


def test_dagster_itself_finds_the_definitions_valid(tmp_path: Path) -> None:
    """`dagster definitions validate` in a process of its own, with nothing but the project's configuration."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MOI_")}
    environ |= {"DAGSTER_HOME": str(tmp_path), "MOI_STATE": str(tmp_path / "state"), "MOI_SOURCE_URL": NOWHERE}
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    command = [str(Path(sys.executable).with_name("dagster")), "definitions", "validate"]
    done = subprocess.run(command, cwd=PROJECT, env=environ, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Validation successful" in done.stdout + done.stderr
