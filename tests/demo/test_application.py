"""Loading generated exports into a real database."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from demo.application import create_tables, load_export
from demo.bulk import fill_shopify
from demo.exports import write_exports
from moi_backup.errors import UsageError

LAST_DAY = date(2025, 11, 24)
MEASURES = {"meta": "amount_spent", "google": "cost", "shopify": "online_store_visitors"}
Connection = psycopg.Connection[Any]


def state_of(application: Connection) -> list[Any]:
    """The physical place and the values of every row of the three tables: equal only if nothing was written."""
    tables = [f"{platform}_import_data" for platform in MEASURES]
    return [
        application.execute(f"SELECT xmin, ctid, t.* FROM {table} t ORDER BY id".encode()).fetchall()
        for table in tables
    ]


def test_the_loaded_tables_hold_the_rows_and_sums_the_exports_promise(application: Connection, tmp_path: Path):
    """Nothing is lost or invented between the file and the table."""
    exports = write_exports(tmp_path, last_day=LAST_DAY, rows=6_000)
    for export in exports:
        loaded = load_export(application, export.path)
        assert (loaded.rows, loaded.inserted, loaded.updated) == (export.rows, export.rows, 0)
    rows: dict[str, int] = defaultdict(int)
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for export in exports:
        rows[export.platform] += export.rows
        sums[export.platform] += export.total
    for platform, measure in MEASURES.items():
        query = f"SELECT count(*), sum({measure}) FROM {platform}_import_data"
        assert application.execute(query.encode()).fetchone() == (rows[platform], sums[platform])


def test_loading_the_same_files_again_changes_nothing(application: Connection, tmp_path: Path):
    """Not one row is even rewritten."""
    exports = write_exports(tmp_path, last_day=LAST_DAY, rows=2_000)
    for export in exports:
        load_export(application, export.path)
    before = state_of(application)
    for export in exports:
        loaded = load_export(application, export.path)
        assert (loaded.inserted, loaded.updated, loaded.unchanged) == (0, 0, export.rows)
    assert state_of(application) == before


def test_a_corrected_file_updates_the_rows_it_corrects(application: Connection, tmp_path: Path):
    """The upsert key decides; the last of two lines with one key counts."""
    path = tmp_path / "google.csv"
    header = "Day,Campaign,Campaign status,Currency code,Cost,Avg. CPM,CTR\n"
    path.write_text(header + "2025-09-10,A,Enabled,INR,5,1,1%\n2025-09-10,B,Enabled,INR,6,1,1%\n")
    load_export(application, path)
    path.write_text(
        header + "2025-09-10,A,Enabled,INR,7,1,1%\n2025-09-10,A,Enabled,INR,8,1,1%\n2025-09-11,A,Paused,INR,9,1,1%\n"
    )
    loaded = load_export(application, path)
    assert (loaded.rows, loaded.inserted, loaded.updated, loaded.unchanged) == (3, 1, 1, 1)
    costs = application.execute(
        "SELECT day::text, campaign, cost::int FROM google_import_data ORDER BY 1, 2"
    ).fetchall()
    assert costs == [("2025-09-10", "A", 8), ("2025-09-10", "B", 6), ("2025-09-11", "A", 9)]


def test_names_arrive_unharmed(application: Connection, tmp_path: Path):
    """Line breaks, quotes, emoji and Devanagari are part of the key."""
    for export in write_exports(tmp_path, last_day=LAST_DAY, rows=6_000):
        load_export(application, export.path)
    campaigns = {name for (name,) in application.execute("SELECT DISTINCT campaign_name FROM meta_import_data")}
    assert {
        "TOF | 80K, LUXE | IGi",
        "दिवाली सेल | TOF",
        "Influencer\nwhitelisting | Q3",
        'BOF | "Last chance" | DPA',
    } <= campaigns
    utm = {name for (name,) in application.execute("SELECT DISTINCT utm_campaign FROM shopify_import_data")}
    assert not any("%20" in name for name in utm)
    assert "TOF | 80K, LUXE | IGi" in utm


def test_a_file_with_one_refused_value_loads_nothing(application: Connection, tmp_path: Path):
    """A half-loaded upload would be worse than none."""
    path = tmp_path / "google.csv"
    header = "Day,Campaign,Campaign status,Currency code,Cost,Avg. CPM,CTR\n"
    path.write_text(header + "2025-09-10,A,Enabled,INR,5,1,1%\n2025-09-10,B,Enabled,INR,lots,1,1%\n")
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        load_export(application, path)
    path.write_text("nothing known\n")
    with pytest.raises(UsageError):
        load_export(application, path)
    assert application.execute("SELECT count(*) FROM google_import_data").fetchone() == (0,)


def test_creating_the_tables_again_changes_nothing(application: Connection):
    """Starting the platform twice is harmless, and no second index on the day appears."""
    query = "SELECT count(*) FROM pg_indexes WHERE schemaname = 'public'"
    before = application.execute(query).fetchone()
    create_tables(application)
    assert application.execute(query).fetchone() == before == (9,)


def test_bulk_rows_are_as_many_as_asked_for_and_the_same_every_time(application: Connection):
    """Benchmarks of two runs compare the same table."""
    query = """
        SELECT count(*), count(DISTINCT day), min(day), max(day), sum(hashtext((made.*)::text))
        FROM (SELECT day, utm_campaign, utm_term, utm_content, pageviews FROM shopify_import_data) made
    """
    seen = []
    for _ in range(2):
        application.execute("TRUNCATE shopify_import_data")
        assert fill_shopify(application, rows=10_001, days=30, last_day=LAST_DAY) == 10_001
        seen.append(application.execute(query).fetchone())
    assert seen[0] == seen[1]
    assert seen[0][:4] == (10_001, 30, date(2025, 10, 26), LAST_DAY)
