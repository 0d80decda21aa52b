"""The list of what a restore changed comes back row by row in the columns of today, or is refused by a column."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec
import pyarrow as pa
import pytest

from moi_backup.lake.arrow_types import schema_of
from moi_backup.lake.change_list import OtherColumns, change_columns, read_changes
from moi_backup.lake.parquet import ChunkWriter
from moi_backup.model.key_ring import PLAIN
from moi_backup.model.table import Column

COLUMNS = (
    Column("moi_change", "integer", "native", "int32"),
    Column("day", "date", "native", "date32[day]"),
    Column("amount", "numeric(10,2)", "decimal", "decimal128(10, 2)"),
)
ROWS = [
    ("gone", "2025-01-02", 1, date(2025, 1, 2), Decimal("1.00")),
    ("come", "2025-01-02", 2, date(2025, 1, 2), Decimal("2.50")),
    ("conflict_live", "2025-01-02", 3, date(2025, 1, 2), None),
    ("come", "2025-01-01", 4, date(2025, 1, 1), None),
    ("renumbered", "2025-01-01", 5, None, None),
    ("come", "2025-01-02", 2, date(2025, 1, 2), Decimal("2.50")),
]


@pytest.fixture
def listed(tmp_path):
    """A list whose columns have the names that its own would have."""
    change, day = change_columns([column.name for column in COLUMNS])
    assert (change.name, day.name) == ("moi_change_", "moi_day_")
    columns = (*COLUMNS, change, day)
    writer = ChunkWriter(tmp_path / "changes.parquet", columns=columns, day_column="day", ring=PLAIN)
    arrays = [[row[2], row[3], row[4], row[0], row[1]] for row in ROWS]
    table = pa.Table.from_pylist(
        [dict(zip(schema_of(columns).names, row, strict=True)) for row in arrays], schema=schema_of(columns)
    )
    writer.write(table)
    writer.close()
    return tmp_path / "changes.parquet"


def found(path, columns):
    """The listed rows, day by day."""
    return sorted(
        (part.change, part.day, *row.values())
        for part in read_changes(path, columns, ring=PLAIN)
        for row in part.rows.to_pylist()
    )


def test_every_row_that_went_or_came_is_read_with_its_day_as_often_as_it_is_listed(listed):
    """Those that only tell of conflicts or numbers are not."""
    assert found(listed, COLUMNS[:1]) == [
        ("come", "2025-01-01", 4), ("come", "2025-01-02", 2), ("come", "2025-01-02", 2), ("gone", "2025-01-02", 1),
    ]  # fmt: skip


def test_a_column_that_is_stored_in_another_form_since_is_brought_to_it(listed):
    """A number that is kept as text now is compared as text."""
    text = msgspec.structs.replace(COLUMNS[2], encoding="text", arrow="string")
    assert [row[2] for row in found(listed, (text,)) if row[2]] == ["2.50", "2.50", "1.00"]


@pytest.mark.parametrize(
    "column", [Column("new", "text", "native", "string"), Column("day", "text", "native", "int64")]
)
def test_a_column_that_is_not_listed_in_a_form_of_today_is_refused_by_name(listed, column):
    """Nothing is guessed."""
    with pytest.raises(OtherColumns, match=column.name):
        found(listed, (column,))
