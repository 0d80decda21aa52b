import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from moi_backup.lake.arrow_types import arrow_type
from moi_backup.lake.digest import RowDigester, chunk_digest, day_digest, table_digest
from moi_backup.model.table import Column
from tests.engine.lake.reference_digest import part_digest

VECTORS = Path(__file__).with_name("vectors.json")
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int16": st.integers(-(2**15), 2**15 - 1),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32),
    "double": st.floats(),
    "string": st.text(max_size=12),
    "binary": st.binary(max_size=12),
    "date32[day]": st.integers(-(2**31), 2**31 - 1),
    "timestamp[us]": st.integers(-(2**62), 2**62),
    "timestamp[us, tz=UTC]": st.integers(-(2**62), 2**62),
    "decimal128(10, 2)": st.decimals(min_value=-99999999, max_value=99999999, places=2),
    "fixed_size_binary[16]": st.binary(min_size=16, max_size=16),
}


@st.composite
def tables(draw: st.DrawFn) -> list[tuple[str, str, list[Any]]]:
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=4))
    rows = draw(st.integers(0, 20))
    return [
        (
            f"{draw(st.sampled_from('aZé'))}{index}",
            kind,
            draw(st.lists(st.none() | VALUES[kind], min_size=rows, max_size=rows)),
        )
        for index, kind in enumerate(kinds)
    ]


def arrow(columns: list[tuple[str, str, list[Any]]]) -> tuple[pa.Table, list[Column]]:
    arrays = []
    for _, kind, values in columns:
        if kind.startswith("timestamp"):
            arrays.append(pa.array(values, pa.int64()).cast(arrow_type(kind)))
        elif kind.startswith("date"):
            arrays.append(pa.array(values, pa.int32()).cast(arrow_type(kind)))
        else:
            arrays.append(pa.array(values, arrow_type(kind)))
    names = [name for name, _, _ in columns]
    described = [Column(name=name, pg_type="", encoding="native", arrow=kind) for name, kind, _ in columns]
    return pa.table(arrays, names=names), described


@given(tables())
@settings(max_examples=150, deadline=None)
def test_the_digest_is_what_the_specification_says(columns: list[tuple[str, str, list[Any]]]) -> None:
    """The engine's vectorised digest equals the reference written from docs/format.md."""
    rows, described = arrow(columns)
    assert RowDigester(rows, described).digest(0, rows.num_rows).digest == part_digest(columns)


@given(tables(), st.data())
@settings(max_examples=100, deadline=None)
def test_the_digest_of_a_run_does_not_depend_on_how_rows_are_batched(
    columns: list[tuple[str, str, list[Any]]], data: st.DataObject
) -> None:
    """Slices, chunk borders and bit offsets leave no trace."""
    rows, described = arrow(columns)
    start = data.draw(st.integers(0, rows.num_rows))
    stop = data.draw(st.integers(start, rows.num_rows))
    cut = data.draw(st.integers(0, rows.num_rows))
    rebatched = pa.concat_tables([rows.slice(0, cut), rows.slice(cut)])
    expected = part_digest([(name, kind, values[start:stop]) for name, kind, values in columns])
    assert RowDigester(rebatched, described).digest(start, stop).digest == expected
    assert RowDigester(rows.slice(start, stop - start), described).digest(0, stop - start).digest == expected


def test_what_lies_under_a_null_does_not_count() -> None:
    """Two columns that differ only in the bytes below a null have one digest."""
    described = [Column(name="x", pg_type="", encoding="native", arrow="int32")]
    validity = pa.py_buffer(b"\x01")
    arrays = [
        pa.Array.from_buffers(pa.int32(), 2, [validity, pa.array([7, hidden], pa.int32()).buffers()[1]])
        for hidden in (0, 99)
    ]
    digests = {RowDigester(pa.table([array], names=["x"]), described).digest(0, 2).digest for array in arrays}
    assert len(digests) == 1


def test_values_that_compare_equal_but_differ_have_different_digests() -> None:
    """Minus zero is not zero, null is not empty, and the order of rows counts."""
    double = [Column(name="x", pg_type="", encoding="native", arrow="double")]
    text = [Column(name="x", pg_type="", encoding="native", arrow="string")]

    def of(values: list[Any], columns: list[Column]) -> str:
        rows = pa.table([pa.array(values, arrow_type(columns[0].arrow))], names=["x"])
        return RowDigester(rows, columns).digest(0, len(values)).digest

    assert of([0.0], double) != of([-0.0], double)
    assert of([""], text) != of([None], text)
    assert of(["a", "b"], text) != of(["b", "a"], text)
    assert of(["ab", ""], text) != of(["a", "b"], text)


def test_the_published_vectors_hold() -> None:
    """Digests computed by an earlier version of this format are still what this version computes."""
    vectors = json.loads(VECTORS.read_text("utf-8"))
    for vector in vectors["parts"]:
        columns = [(name, kind, [revive(kind, value) for value in values]) for name, kind, values in vector["columns"]]
        rows, described = arrow(columns)
        assert RowDigester(rows, described).digest(0, rows.num_rows).digest == vector["digest"], vector["title"]
    parts = [vector["digest"] for vector in vectors["parts"]]
    assert day_digest(parts[:1]) == parts[0]
    assert day_digest(parts[:2]) == vectors["day of the first two parts"]
    assert chunk_digest([("2025-09-14", parts[0]), ("2025-09-15", parts[1])]) == vectors["chunk"]
    assert table_digest([("2025-09-14", 3, parts[0]), ("undated", 2, parts[1])]) == vectors["table"]


def revive(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind in ("binary", "fixed_size_binary[16]"):
        return bytes.fromhex(value)
    if kind in ("float", "double"):
        return float(value)
    return Decimal(value) if kind.startswith("decimal") else value
