"""The row diff and the conflict policies against a naive reference that keeps all rows in lists."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moi_backup.lake import row_sets
from moi_backup.lake.decision import Decision
from moi_backup.lake.row_diff import RowDiff
from moi_backup.lake.row_sets import RowSets, Shape
from moi_backup.model.conflict_policy import POLICIES, ConflictPolicy
from moi_backup.model.table import Column
from tests.engine.lake.policy_oracle import NAMES, Row, bits, difference, expected, groups, key_of

COLUMNS = (
    Column("Day", "integer", "native", "int32"),
    Column("k", "text", "native", "string"),
    Column('odd "name"', "numeric(10,2)", "decimal", "decimal128(10, 2)"),
    Column("day", "double precision", "native", "double"),
    Column("at", "timestamp without time zone", "native", "timestamp[us]"),
)
TYPES = [pa.int32(), pa.string(), pa.decimal128(10, 2), pa.float64(), pa.timestamp("us")]
ROWS = st.lists(
    st.tuples(
        st.sampled_from([1, 2, 3]),
        st.sampled_from(["a", "b", "", None]),
        st.sampled_from([None, "1.00", "2.50"]),
        st.sampled_from([0.0, -0.0, 1.5, float("nan"), None]),
        st.sampled_from([None, 1, 2]),
    ),
    max_size=7,
)
KEYS = st.sampled_from([("Day", "k"), ("k",), ("k", "day"), None])


def table_of(rows: list[Row]) -> pa.Table:
    arrays = [
        pa.array([row[n] for row in rows], pa.string()).cast(kind)
        if pa.types.is_decimal(kind)
        else pa.array([row[n] for row in rows], kind)
        for n, kind in enumerate(TYPES)
    ]
    return pa.table(arrays, names=NAMES)


def load(folder: Path, key: tuple[str, ...] | None, states: dict[str, list[Row]]) -> RowSets:
    sets = RowSets(Shape(COLUMNS, key, summed=(NAMES[2],), has_base="base" in states), scratch=folder)
    for day in (1, 2, 3):
        for side, rows in states.items():
            mine = [(number, row) for number, row in enumerate(rows) if row[0] == day]
            places = pa.array([str(number) for number, _ in mine], pa.string())
            sets.add(side, table_of([row for _, row in mine]), day=str(day), places=places)
        sets.day_done()
    sets.finish()
    return sets


def rows_in(tables: Any) -> list[Row]:
    return [
        bits(tuple(None if v is None else str(v) if n == 2 else v for n, v in enumerate(row.values())))
        for table in tables
        for row in with_numbers(table).to_pylist()
    ]


def with_numbers(table: pa.Table) -> pa.Table:
    return table.set_column(4, "at", table.column("at").cast(pa.int64()))


def without_last(row: Row) -> Row:
    return row[:-1]


@settings(max_examples=60, deadline=None)
@given(live=ROWS, backup=ROWS, base=ROWS, key=KEYS, policy=st.sampled_from(POLICIES))
def test_every_policy_writes_what_its_description_says(
    tmp_path_factory: pytest.TempPathFactory,
    live: list[Row],
    backup: list[Row],
    base: list[Row],
    key: tuple[str, ...] | None,
    policy: ConflictPolicy,
) -> None:
    """Applying the decided deletes, updates and inserts to the live rows gives the reference's rows and conflicts."""
    with load(tmp_path_factory.getbasetemp(), key, {"before": live, "after": backup, "base": base}) as sets:
        decision = Decision(sets, policy, newer_by="at")
        result = {str(number): bits(row) for number, row in enumerate(live)}
        for row in rows_in(decision.deleted()):
            assert result.pop(row[-1]) == without_last(row)
        for row in rows_in(decision.updated()):
            assert result[row[-1]] != without_last(row)
            result[row[-1]] = without_last(row)
        rows = Counter(result.values()) + Counter(rows_in(decision.inserted()))
        reference, conflicts = expected(policy, live, backup, base, key)
        found = {
            key_of(without_last(row), key) for side in ("gone", "come") for row in rows_in(decision.conflicts(side))
        }
        assert (rows, found, decision.counts.conflicts) == (reference, conflicts, len(conflicts))
        counts = decision.counts
        assert sum(rows.values()) == len(live) + counts.inserted - counts.deleted


@settings(max_examples=40, deadline=None)
@given(before=ROWS, after=ROWS, key=KEYS)
def test_the_diff_counts_every_row_once(
    tmp_path_factory: pytest.TempPathFactory, before: list[Row], after: list[Row], key: tuple[str, ...] | None
) -> None:
    """Unchanged, updated and inserted rows are the rows after; unchanged, updated and deleted ones those before."""
    with load(tmp_path_factory.getbasetemp(), key, {"before": before, "after": after}) as sets:
        diff = RowDiff(sets)
        days = diff.days()
        same = sum(day.unchanged for day in days)
        updated = sum(day.updated for day in days)
        gone, come = groups(difference(before, after), key), groups(difference(after, before), key)
        pairs = sum(min(gone[k].total(), come[k].total()) for k in gone.keys() & come.keys())
        assert (same, updated) == ((Counter(map(bits, before)) & Counter(map(bits, after))).total(), pairs)
        assert same + updated + sum(day.inserted for day in days) == len(after)
        assert same + updated + sum(day.deleted for day in days) == len(before)
        assert len(list(diff.rows())) == sum(day.inserted + day.updated + day.deleted for day in days)
        sums = {day.day: (day.before, day.after) for day in diff.sums()}
        for number, rows in enumerate((before, after)):
            for day, totals in sums.items():
                assert float(totals[number]) == sum(float(row[2]) for row in rows if str(row[0]) == day and row[2])
        assert set(diff.changed_columns()) <= set(NAMES) - set(key or NAMES)


def test_what_does_not_fit_into_memory_goes_to_the_disk_encrypted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A difference of many times the memory limit is right, and the scratch files do not show the rows."""
    monkeypatch.setattr(row_sets, "MEMORY", "100MB")
    columns = (Column("id", "integer", "native", "int32"), Column("name", "text", "native", "string"))
    spilled = set[bool]()
    with RowSets(Shape(columns, ("id",)), scratch=tmp_path) as sets:
        for day in range(12):
            ids = pa.array(range(day * 20_000, day * 20_000 + 20_000), pa.int32())
            for side in ("before", "after"):
                names = pa.array([f"a name to be hidden {side} {number} " * 8 for number in range(20_000)])
                sets.add(side, pa.table([ids, names], names=["id", "name"]), day=str(day))
            sets.day_done()
            files = [path for path in tmp_path.iterdir() if path.stat().st_size]
            spilled |= {b"to be hidden" in path.read_bytes() for path in files}
        sets.finish()
        counts = Decision(sets, "replace").counts
    assert (counts.inserted, counts.updated, counts.deleted) == (0, 240_000, 0)
    assert spilled == {False}
