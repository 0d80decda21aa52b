from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from moi_backup.lake.parts import MAXIMUM_WEIGHT, MINIMUM_WEIGHT, PartCutter, row_weights

ROWS = 400_000


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    ids = pa.array(range(ROWS), pa.int64())
    return pa.table({"id": ids, "note": [f"{index:0300d}" for index in range(ROWS)]})


def cuts_in_pieces(rows: pa.Table, size: int) -> list[int]:
    cutter = PartCutter(["id"])
    found: list[int] = []
    for start in range(0, rows.num_rows, size):
        piece = rows.slice(start, size)
        found += [start + cut for cut in cutter.cuts(piece, row_weights(piece))]
    return found


def part_weights(rows: pa.Table, cuts: list[int]) -> list[int]:
    total = np.concatenate(([0], np.cumsum(row_weights(rows))))
    edges = [0, *cuts, rows.num_rows]
    return [int(total[last] - total[first]) for first, last in pairwise(edges)]


def test_cuts_do_not_depend_on_how_the_rows_arrive(rows: pa.Table) -> None:
    """The same rows in batches of any size are cut in the same places."""
    whole = cuts_in_pieces(rows, ROWS)
    assert whole
    assert cuts_in_pieces(rows, 7_919) == whole
    assert cuts_in_pieces(rows, 99_991) == whole


def test_every_part_lies_between_the_limits(rows: pa.Table) -> None:
    """No part but the last is lighter than the minimum, none heavier than the maximum and one row."""
    weights = part_weights(rows, cuts_in_pieces(rows, 50_000))
    assert all(MINIMUM_WEIGHT <= weight <= MAXIMUM_WEIGHT + 400 for weight in weights[:-1])
    assert weights[-1] <= MAXIMUM_WEIGHT + 400


def test_a_row_inserted_in_the_middle_leaves_most_cuts_where_they_were(rows: pa.Table) -> None:
    """After an insertion the parts realign by content, so most of them are the same rows as before."""
    before = cuts_in_pieces(rows, ROWS)
    extra = pa.table({"id": pa.array([-1], pa.int64()), "note": ["x"]})
    changed = pa.concat_tables([rows.slice(0, 1000), extra, rows.slice(1000)])
    after = [cut - 1 for cut in cuts_in_pieces(changed, ROWS)]
    assert after[-1] == before[-1]
    assert len(set(before) & set(after)) >= len(before) - 1


def test_a_cut_depends_on_the_key_alone_not_on_other_columns(rows: pa.Table) -> None:
    """Changing a value of the same length moves no cut."""
    changed = rows.set_column(1, "note", pa.array([f"{ROWS - index:0300d}" for index in range(ROWS)]))
    assert cuts_in_pieces(changed, ROWS) == cuts_in_pieces(rows, ROWS)


def test_weight_counts_eight_bytes_a_column_and_the_bytes_of_variable_values() -> None:
    """The weights of the specification, nulls weighing nothing beyond their column."""
    table = pa.table(
        {"a": pa.array([1, None], pa.int16()), "b": ["é", None], "c": pa.array([b"xyz", b""], pa.binary())}
    )
    assert row_weights(table).tolist() == [24 + 2 + 3, 24]
