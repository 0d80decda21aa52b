from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pyarrow as pa
import pytest

from moi_backup.lake.arrow_types import schema_of
from moi_backup.lake.assemble import Assembled, assemble
from moi_backup.lake.day_stream import Layout, Miscounted
from moi_backup.lake.digest import RowDigester
from moi_backup.lake.parquet import read_table
from moi_backup.model.day import label_of
from moi_backup.model.span import Span, plan_spans
from moi_backup.model.table import Column, DayColumn, TableManifest, TableName

COLUMNS = (
    Column(name="id", pg_type="integer", encoding="native", arrow="int32", not_null=True),
    Column(name="day", pg_type="date", encoding="native", arrow="date32[day]"),
    Column(name="name", pg_type="text", encoding="native", arrow="string"),
)
LAYOUT = Layout(COLUMNS, ("id",), "day")
TABLE = TableManifest(
    table=TableName("public", "t"), columns=COLUMNS, day=DayColumn("day", "date"), order_by=("id",), key=None,
    required=(), data_class="critical", rows=0, digest="", months=(),
)  # fmt: skip


def rows_of(days: dict[int | None, int]) -> pa.Table:
    day_values = [day for day, rows in days.items() for _ in range(rows)]
    total = len(day_values)
    return pa.table(
        [
            pa.array(range(total), pa.int32()),
            pa.array(day_values, pa.int32()).cast(pa.date32()),
            [f"n{i % 7}" for i in range(total)],
        ],
        schema=schema_of(COLUMNS),
    )


def chunks_of(rows: pa.Table, spans: list[Span], folder: Path, batch: int = 1000) -> Iterator[Assembled]:
    scratch = (folder / str(number) for number in count())
    return assemble(iter(rows.to_batches(batch)), spans, layout=LAYOUT, scratch=scratch)


def spans_for(days: dict[int | None, int]) -> list[Span]:
    return plan_spans({label_of(day): rows for day, rows in days.items()})


def test_a_small_month_is_one_chunk_with_a_digest_for_every_day(tmp_path: Path) -> None:
    """31 small days become one file whose entry lists each day; the rows come back in order."""
    days: dict[int | None, int] = {20089 + day: 10 + day for day in range(31)}
    rows = rows_of(days)
    [chunk] = chunks_of(rows, spans_for(days), tmp_path)
    assert chunk.span == "2025-01"
    assert [(part.day, part.rows) for part in chunk.days] == [(label_of(day), number) for day, number in days.items()]
    first = RowDigester(rows, COLUMNS).digest(0, 10).digest
    assert chunk.days[0].digest == first
    assert read_table(chunk.write(), TABLE).equals(rows)


def test_a_large_month_is_cut_and_undated_rows_stand_apart(tmp_path: Path) -> None:
    """With more than 20,000 rows in a third each day has its own chunk, and so have rows without a day."""
    days: dict[int | None, int] = {20089: 15_000, 20090: 6_000, 20120: 5, None: 3}
    chunks = list(chunks_of(rows_of(days), spans_for(days), tmp_path))
    assert [chunk.span for chunk in chunks] == ["2025-01-01", "2025-01-02", "2025-02", "undated"]
    assert [sum(part.rows for part in chunk.days) for chunk in chunks] == [15_000, 6_000, 5, 3]


def test_memory_is_bounded_by_writing_parts_of_an_oversized_day_one_by_one(tmp_path: Path) -> None:
    """An undated table beyond 64 MiB comes out as several chunks, each of at most that weight."""
    note = "x" * 400
    total = 250_000
    columns = (COLUMNS[0], COLUMNS[2])
    rows = pa.table([pa.array(range(total), pa.int32()), [note] * total], schema=schema_of(columns))
    scratch = (tmp_path / str(number) for number in count())
    parts = list(
        assemble(
            iter(rows.to_batches(10_000)), [Span("undated", "undated", (("undated", total),))],
            layout=Layout(columns, ("id",), None), scratch=scratch,
        )
    )  # fmt: skip
    assert len(parts) > 1
    assert all(part.weight <= 64 * 1024 * 1024 + 1000 for part in parts)
    assert sum(part.days[0].rows for part in parts) == total


@pytest.mark.parametrize("planned", [{20089: 4}, {20089: 6}, {20090: 5}, {20089: 5, 20090: 1}])
def test_a_stream_that_differs_from_the_count_is_refused(tmp_path: Path, planned: dict[int | None, int]) -> None:
    """Rows missing, rows too many, or rows of another day than counted stop the operation."""
    with pytest.raises(Miscounted):
        list(chunks_of(rows_of({20089: 5}), spans_for(planned), tmp_path))


def test_a_chunk_that_is_reused_leaves_no_file(tmp_path: Path) -> None:
    """Discarding a chunk removes what it may have written."""
    [chunk] = chunks_of(rows_of({20089: 5}), spans_for({20089: 5}), tmp_path)
    chunk.discard()
    assert list(tmp_path.iterdir()) == []
