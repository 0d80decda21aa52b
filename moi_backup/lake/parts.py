"""Where an oversized day is cut into parts: a pure function of its rows (docs/format.md, "Spans").

The cut depends on the content, so a row inserted in the middle changes one part and not all that follow it.
"""

# pyarrow's stubs leave the types of arrays unknown.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from blake3 import blake3

from moi_backup.lake.untyped import arrow, pc

MINIMUM_WEIGHT = 16 * 1024 * 1024
MAXIMUM_WEIGHT = 64 * 1024 * 1024
THRESHOLD = 2**64 // 65536
_BLOCK = 4096


def row_weights(rows: pa.Table) -> np.ndarray[Any, Any]:
    """Weight in bytes of every row: 8 a column plus the bytes of its variable-length values."""
    weights = np.full(rows.num_rows, 8 * rows.num_columns, dtype=np.int64)
    for column in rows.columns:
        if _variable(column.type):
            lengths = pc.fill_null(pc.binary_length(column), 0)
            weights += lengths.to_numpy().astype(np.int64)
    return weights


class PartCutter:
    """Finds the cuts in a stream of rows of one day. Feed the rows in order; the state is the open part's weight."""

    def __init__(self, order_by: Sequence[str]) -> None:
        self._order_by = order_by
        self._weight = 0

    def skip(self, weights: np.ndarray[Any, Any]) -> list[int]:
        """No cut can fall in rows of these weights, which keep the part below the minimum."""
        self._weight += int(weights.sum())
        return []

    def cuts(self, rows: pa.Table, weights: np.ndarray[Any, Any]) -> list[int]:
        """Indices in `rows` (of the given weights) before which a new part begins."""
        total = np.cumsum(weights)
        found: list[int] = []
        before = -self._weight  # cumulative weight at which the open part began, relative to these rows
        while (cut := self._next(rows, total, before, found[-1] if found else -1)) is not None:
            found.append(cut)
            before = int(total[cut - 1]) if cut else 0
        self._weight = int(total[-1]) - before if len(total) else self._weight
        return found

    def _next(self, rows: pa.Table, total: np.ndarray[Any, Any], before: int, last: int) -> int | None:
        ahead = np.concatenate(([0], total[:-1])) - before  # weight of the open part before each row
        first = max(int(np.searchsorted(ahead, MINIMUM_WEIGHT)), last + 1)
        forced = max(int(np.searchsorted(ahead, MAXIMUM_WEIGHT)), last + 1)
        stop = min(forced, rows.num_rows)
        for start in range(first, stop, _BLOCK):
            for index, key in enumerate(_keys(rows, self._order_by, start, min(start + _BLOCK, stop)), start):
                if int.from_bytes(blake3(key).digest(length=8), "little") < THRESHOLD:
                    return index
        return forced if forced < rows.num_rows else None


def _keys(rows: pa.Table, order_by: Sequence[str], start: int, stop: int) -> Iterator[bytes]:
    """The key bytes of rows `start` to `stop` (exclusive)."""
    columns = [_key_bytes(rows.column(name).slice(start, stop - start)) for name in order_by]
    return map(b"".join, zip(*columns, strict=True))


def _key_bytes(column: Any) -> list[bytes]:
    if isinstance(column.type, pa.BaseExtensionType):
        column = arrow.chunked_array([chunk.storage for chunk in column.chunks], type=column.type.storage_type)
    if _variable(column.type):
        values = column.cast(pa.large_binary()).to_pylist()
        return [b"\x00" if v is None else b"\x01" + len(v).to_bytes(4, "little") + v for v in values]
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    width = arrow.binary(column.type.bit_width // 8)
    values = [value for chunk in column.chunks for value in chunk.view(width).to_pylist()]
    return [b"\x00" if v is None else b"\x01" + v for v in values]


def _variable(kind: pa.DataType) -> bool:
    return any(
        test(kind)
        for test in (pa.types.is_string, pa.types.is_binary, pa.types.is_large_string, pa.types.is_large_binary)
    )
