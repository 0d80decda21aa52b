"""The generated exports: repeatable, complete, and as awkward as the real ones."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path

import pytest

from demo.exports import Export, months_before, write_exports
from demo.uploads import platform_of, read_rows

LAST_DAY = date(2025, 11, 24)


def digests(exports: list[Export]) -> dict[str, str]:
    """Each file's name and the hash of its bytes."""
    return {export.path.name: hashlib.sha256(export.path.read_bytes()).hexdigest() for export in exports}


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> list[Export]:
    """A smaller set over the usual fourteen months."""
    return write_exports(tmp_path_factory.mktemp("exports"), last_day=LAST_DAY, rows=6_000)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path):
    """A demo that differs from run to run proves nothing."""
    first = write_exports(tmp_path / "a", last_day=LAST_DAY, rows=1_000, seed=1)
    again = write_exports(tmp_path / "b", last_day=LAST_DAY, rows=1_000, seed=1)
    other = write_exports(tmp_path / "c", last_day=LAST_DAY, rows=1_000, seed=2)
    assert digests(first) == digests(again)
    assert digests(first).keys() == digests(other).keys()
    assert not set(digests(first).values()) & set(digests(other).values())


@pytest.mark.parametrize("rows", [0, 7, 999, 6_000])
def test_the_files_hold_exactly_the_rows_that_were_asked_for(tmp_path: Path, rows: int):
    """Title and total lines do not count."""
    written = write_exports(tmp_path, last_day=LAST_DAY, rows=rows)
    assert sum(export.rows for export in written) == rows
    assert [export.rows for export in written] == [len(list(read_rows(export.path))) for export in written]


def test_the_days_are_the_fourteen_months_that_end_with_the_last_day(exports: list[Export]):
    """The first day follows the same day fourteen months earlier."""
    assert min(export.first_day for export in exports) == date(2024, 9, 25)
    assert max(export.last_day for export in exports) == LAST_DAY


def test_going_back_from_a_long_month_ends_at_the_last_day_of_a_short_one():
    """29 February is the latest day there is."""
    assert months_before(date(2024, 4, 30), 2) == date(2024, 2, 29)
    assert months_before(date(2025, 1, 31), 13) == date(2023, 12, 31)


@pytest.mark.parametrize("rows", [6_000, 120_000])
def test_every_row_is_unique_by_the_upsert_key_of_its_table(tmp_path: Path, rows: int):
    """Also where the days are so full that names must be numbered on."""
    for export in write_exports(tmp_path, last_day=LAST_DAY, rows=rows, months=3):
        platform = platform_of(export.path)
        places = [platform.columns.index(column) for column in platform.key]
        keys = {tuple(row[place] for place in places) for row in read_rows(export.path)}
        assert len(keys) == export.rows


def test_the_quirks_of_real_exports_all_occur(exports: list[Export]):
    """Each of them has broken an import somewhere."""
    bytes_of = {
        name: [e.path.read_bytes() for e in exports if e.platform == name] for name in ("meta", "google", "shopify")
    }
    wide = [content for content in bytes_of["google"] if content.startswith((b"\xff\xfe", b"\xfe\xff"))]
    narrow = [content.decode() for content in bytes_of["google"] if content not in wide]
    meta = "".join(content.decode("utf-8-sig") for content in bytes_of["meta"])
    shopify = b"".join(bytes_of["shopify"]).decode()
    assert all(content.startswith(b"\xef\xbb\xbf") for content in bytes_of["meta"])
    assert wide
    assert all("\tCost\t" in content.decode("utf-16") for content in wide)
    assert all(text.splitlines()[2].startswith("Day,Campaign") for text in narrow)
    assert all(text.splitlines()[-1].startswith("Total: Account") for text in narrow)
    assert any(",--,--" in text for text in narrow)
    assert any('"₹' in text for text in narrow)
    assert ",,,," in meta.splitlines()[-1]
    for piece in (
        "TOF | 80K, LUXE | IGi",
        '""buyers 180d""',
        "दिवाली सेल",
        "🎁",
        "Influencer\nwhitelisting",
        "%,",
        ",0.0",
    ):
        assert piece in meta
    for piece in ("TOF%20%7C%2080K%2C%20LUXE", "TOF | 80K, LUXE", ',"1,'):
        assert piece in shopify
    for piece in ("\n2024-12-01,", "\n01/01/2025,", '\n"Feb 1, 2025",'):
        assert piece in shopify.replace("\r\n", "\n")
