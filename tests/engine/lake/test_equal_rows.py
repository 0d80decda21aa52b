"""Rows that two states share are taken out, whatever their types, and no other ones."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moi_backup.lake.arrow_types import arrow_type
from moi_backup.lake.equal_rows import share

VALUES: dict[str, list[Any]] = {
    "bool": [True, False, None],
    "int16": [1, 2, None],
    "int64": [1, 2**62, None],
    "float": [1.5, None, 2.0],
    "double": [1.5, None, 2.0],
    "string": ["", "x", None],
    "binary": [b"", b"x", None],
    "fixed_size_binary[16]": [bytes(16), b"x" * 16, None],
    "date32[day]": [0, 20_000, None],
    "timestamp[us]": [0, 1, None],
    "timestamp[us, tz=UTC]": [0, 1, None],
    "decimal128(38, 2)": [Decimal("1.00"), Decimal("-2.50"), None],
}


@pytest.mark.parametrize("kind", VALUES)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_equal_rows_leave_in_pairs(kind: str, data: st.DataObject) -> None:
    """Nothing is lost on either side: what was taken out of both is the same multiset, in all of the stored types."""
    sides = data.draw(st.tuples(*[st.lists(st.tuples(st.sampled_from(VALUES[kind]), st.integers(0, 2)))] * 2))
    before, after = (
        pa.table([pa.array([row[0] for row in rows], arrow_type(kind)), pa.array([row[1] for row in rows], pa.int64())],
                 names=["c0", "c1"])
        for rows in sides
    )  # fmt: skip
    shared = share(before, after, fields=("c0", "c1"), keys=("c0", "c1"))
    equal = counted(shared.equal)
    assert counted(before) - counted(shared.before) == equal == counted(after) - counted(shared.after)
    assert shared.before.num_rows + shared.equal.num_rows == before.num_rows
    assert shared.after.num_rows + shared.equal.num_rows == after.num_rows


def test_floats_are_equal_to_the_bit() -> None:
    """Minus zero stays apart from zero, and NaN is equal to itself."""
    before, after = (pa.table({"c0": values}) for values in ([0.0, float("nan")], [-0.0, float("nan")]))
    shared = share(before, after, fields=("c0",), keys=("c0",))
    assert (shared.before.num_rows, shared.after.num_rows, shared.equal.num_rows) == (1, 1, 1)


def test_a_row_that_moved_is_found_by_its_key() -> None:
    """Rows behind an inserted one lie elsewhere and are equal all the same."""
    before, after = (pa.table({"c0": list(ids), "c1": ["v"] * len(ids)}) for ids in (range(1, 100), range(100)))
    shared = share(before, after, fields=("c0", "c1"), keys=("c0",))
    assert (shared.before.num_rows, shared.after.to_pylist()) == (0, [{"c0": 0, "c1": "v"}])


def counted(rows: pa.Table) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(row.values()) for row in rows.to_pylist())
