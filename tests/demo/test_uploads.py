"""How the cells of an upload become values of columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.uploads import clean_day, clean_number, clean_rate, clean_utm, platform_of, read_rows
from moi_backup.errors import UsageError


@pytest.mark.parametrize("cell", ["2025-09-10", "10/09/2025", "Sep 10, 2025", "September 10, 2025"])
def test_every_way_to_write_a_day_means_the_same_day(cell: str):
    """Slashes are day first, as in India."""
    assert clean_day(cell) == "2025-09-10"


@pytest.mark.parametrize(
    ("cell", "number"),
    [("1,027.50", "1027.50"), ("₹1,00,027.50", "100027.50"), ("$ 3", "3"), ("€7", "7"), ("--", None), ("", None)],
)
def test_a_number_loses_its_sign_and_separators(cell: str, number: str | None):
    """Two dashes or nothing are NULL, not zero."""
    assert clean_number(cell) == number


@pytest.mark.parametrize(
    ("cell", "rate"), [("1.24%", "0.0124"), ("0.0124", "0.0124"), ("0.00%", "0.0000"), ("--", None)]
)
def test_a_rate_in_percent_and_as_a_fraction_are_the_same(cell: str, rate: str | None):
    """The column holds the fraction."""
    assert clean_rate(cell) == rate


def test_a_utm_value_is_decoded_and_a_plain_one_is_left_alone():
    """A plus sign is a plus sign: the platforms encode spaces as %20."""
    assert clean_utm("TOF%20%7C%2080K%2C%20LUXE") == "TOF | 80K, LUXE"
    assert clean_utm("whatsapp+broadcast ") == "whatsapp+broadcast"
    assert clean_utm("50% off") == "50% off"


def test_columns_are_found_by_name_whatever_their_order(tmp_path: Path):
    """A marketer may drag columns about and add some."""
    path = tmp_path / "google.csv"
    path.write_text(
        "Report\nAll time\nCTR,Clicks,Cost,Campaign,Campaign status,Avg. CPM,Currency code,Day\n"
        '2.50%,9,"1,000.00","Search, brand",Enabled,--,INR,2025-09-10\nTotal: Account,9,5,,,,,\n'
    )
    assert platform_of(path).name == "google"
    assert list(read_rows(path)) == [["2025-09-10", "Search, brand", "1000.00", "0.0250", None, "INR", "Enabled"]]


def test_a_file_of_another_kind_is_refused_by_its_name(tmp_path: Path):
    """Better than an empty load."""
    path = tmp_path / "holiday.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match=r"holiday\.csv"):
        platform_of(path)
