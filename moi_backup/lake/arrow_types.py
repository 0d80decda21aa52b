"""The canonical Arrow form of stored columns, and the way there from what the database driver delivers.

Driver facts (ADBC 1.13, measured): an infinite date arrives as int32 wrapped past the epoch shift (10,957 days) and
goes back the same way; an infinite timestamp wraps below 4713 BC; json and uuid arrive as extension types.
"""

# pyarrow's stubs leave the types of arrays unknown.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from moi_backup.lake.untyped import pc
from moi_backup.model.day import DATE32_INFINITY, DATE32_MINUS_INFINITY
from moi_backup.model.table import Column

_WRAPPED_INFINITY = (2**31 - 1 + 10957) - 2**32
_WRAPPED_MINUS_INFINITY = -(2**31) + 10957
_FIRST_TIMESTAMP = -210866803200000000  # 4713-01-01 BC in microseconds, the first Postgres knows
_DECIMAL = re.compile(r"decimal128\((\d+), (\d+)\)")
_TYPES: dict[str, pa.DataType] = {
    str(kind): kind
    for kind in (
        pa.bool_(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.string(), pa.binary(),
        pa.binary(16), pa.date32(), pa.timestamp("us"), pa.timestamp("us", "UTC"),
    )
}  # fmt: skip


class Unrepresentable(Exception):
    """A value does not fit its column's native or decimal type; the column must be stored as text."""

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


def arrow_type(name: str) -> pa.DataType:
    """The Arrow type a `Column.arrow` names; raises ValueError for a name this version does not write."""
    match = _DECIMAL.fullmatch(name)
    if match:
        return pa.decimal128(int(match[1]), int(match[2]))
    if name not in _TYPES:
        raise ValueError(f"unknown stored type {name!r}")
    return _TYPES[name]


def schema_of(columns: Sequence[Column]) -> pa.Schema:
    """The canonical schema of a table's columns, in their order."""
    return pa.schema([pa.field(column.name, arrow_type(column.arrow)) for column in columns])


def canonical(batch: pa.RecordBatch, columns: Sequence[Column]) -> pa.RecordBatch:
    """A driver's batch (its columns by position) in the canonical schema; raises Unrepresentable."""
    arrays = [_canonical(batch.column(index), column) for index, column in enumerate(columns)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema_of(columns))


def canonical_dates(array: Any) -> Any:
    """A driver's dates as canonical ones: wrapped infinities become DuckDB's."""
    return _mapped_dates(array, _FORTH)


def for_driver(table: pa.Table) -> pa.Table:
    """Canonical rows as the driver takes them: infinite dates wrapped again."""
    schema: Any = table.schema
    for index, field in enumerate(schema):
        if pa.types.is_date32(field.type):
            replaced = _mapped_dates(table.column(index), _BACK)
            table = table.set_column(index, field, replaced)
    return table


def _canonical(array: Any, column: Column) -> Any:
    wanted = arrow_type(column.arrow)
    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    if pa.types.is_date32(array.type):
        return canonical_dates(array)
    if pa.types.is_timestamp(array.type):
        _refuse_wrapped(array, column)
    if array.type == wanted:
        return array
    try:
        return pc.cast(array, wanted)
    except pa.ArrowInvalid as error:
        raise Unrepresentable(column.name) from error


_FORTH = {_WRAPPED_INFINITY: DATE32_INFINITY, _WRAPPED_MINUS_INFINITY: DATE32_MINUS_INFINITY}
_BACK = {there: here for here, there in _FORTH.items()}


def _mapped_dates(array: Any, mapping: dict[int, int]) -> Any:
    """Dates with the given numbers replaced; the array itself when none of them occurs (the usual case)."""
    numbers = array.cast(pa.int32())
    hits = pc.is_in(numbers, value_set=pa.array(list(mapping), pa.int32()))
    if not pc.any(hits).as_py():
        return array
    for before, after in mapping.items():
        numbers = pc.if_else(pc.equal(numbers, pa.scalar(before, pa.int32())), pa.scalar(after, pa.int32()), numbers)
    return numbers.cast(pa.date32())


def _refuse_wrapped(array: Any, column: Column) -> None:
    numbers = np.asarray(pc.fill_null(array.cast(pa.int64()), 0))
    if len(numbers) and int(numbers.min()) < _FIRST_TIMESTAMP:
        raise Unrepresentable(column.name)
