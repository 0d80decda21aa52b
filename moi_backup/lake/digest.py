"""The digest of rows: values, not files (docs/format.md, "Digests").

`RowDigester` prepares the columns of a table once and then digests any run of its rows, so a month of small days costs
one preparation. Arrow arrays come in the canonical types of `moi_backup.lake.arrow_types`.
"""

# pyarrow's stubs leave the types of arrays unknown.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
import pyarrow as pa
from blake3 import blake3

from moi_backup.lake.untyped import arrow, pc
from moi_backup.model.key_ring import PLAIN, KeyRing
from moi_backup.model.table import ChunkDay, Column

COLUMN_DIGEST_BYTES = 16


class RowsDigest(NamedTuple):
    """The digest of a run of rows and the 16-byte digests of its columns, concatenated in name order, as base64."""

    digest: str
    columns: str


class _Values(Protocol):
    """The physical values of one column, ready to be hashed for any run of rows."""

    def feed(self, hasher: Any, start: int, stop: int) -> None: ...


class _Fixed:
    """Fixed-width values, nulls already zeroed."""

    def __init__(self, data: memoryview, width: int) -> None:
        self._data, self._width = data, width

    def feed(self, hasher: Any, start: int, stop: int) -> None:
        hasher.update(self._data[start * self._width : stop * self._width])


class _Bits:
    """Booleans as a bitmap, nulls already false."""

    def __init__(self, values: np.ndarray[Any, Any]) -> None:
        self._values = values

    def feed(self, hasher: Any, start: int, stop: int) -> None:
        hasher.update(_packed(self._values[start:stop]))


class _Variable:
    """Variable-length values: int64 offsets from zero, then the bytes."""

    def __init__(self, offsets: np.ndarray[Any, Any], data: memoryview) -> None:
        self._offsets, self._data = offsets, data

    def feed(self, hasher: Any, start: int, stop: int) -> None:
        offsets = self._offsets[start : stop + 1]
        hasher.update(memoryview(offsets - offsets[0]).cast("B"))
        hasher.update(self._data[int(offsets[0]) : int(offsets[-1])])


class RowDigester:
    """Digests runs of rows of one table."""

    def __init__(self, rows: pa.Table, columns: Sequence[Column], *, ring: KeyRing = PLAIN) -> None:
        """Prepare `columns` (in any order) of `rows`; in an encrypted repository digests are keyed by scope.

        Raises WrongKey for a column of a scope that is not held.
        """
        ordered = _ordered(columns)
        self._header = _header(ordered)
        self._keys = [ring.digest_key(column.scope) for column in ordered]
        arrays = [_contiguous(rows.column(column.name)) for column in ordered]
        self._validity = [_validity(array) for array in arrays]
        self._values = [_values(array) for array in arrays]

    def digest(self, start: int, stop: int) -> RowsDigest:
        """The part digest of rows `start` to `stop` (exclusive)."""
        columns = b"".join(
            _column_digest(key, validity, values, start, stop)
            for key, validity, values in zip(self._keys, self._validity, self._values, strict=True)
        )
        return _rows_digest(self._header, stop - start, columns)


def digest_of_columns(day: ChunkDay, columns: Sequence[Column], kept: Sequence[Column]) -> ChunkDay:
    """A day as `RowDigester` would digest it with the `kept` ones of its columns alone; its generated ones are not."""
    if len(kept) == len(columns):
        return day
    stored, ordered = base64.b64decode(day.columns), _ordered(columns)
    at = {column.name: place * COLUMN_DIGEST_BYTES for place, column in enumerate(ordered)}
    wanted = _ordered(kept)
    picked = b"".join(stored[at[column.name] : at[column.name] + COLUMN_DIGEST_BYTES] for column in wanted)
    digest, text = _rows_digest(_header(wanted), day.rows, picked)
    return msgspec.structs.replace(day, digest=digest, columns=text, generated="")


def _ordered(columns: Sequence[Column]) -> list[Column]:
    return sorted(columns, key=lambda column: column.name.encode())


def _header(ordered: Sequence[Column]) -> bytes:
    return b"moi-backup rows 1\n" + msgspec.json.encode([[c.name, c.arrow] for c in ordered]) + b"\n"


def _rows_digest(header: bytes, rows: int, columns: bytes) -> RowsDigest:
    made = blake3(header + str(rows).encode() + b"\n" + columns).hexdigest()
    return RowsDigest(made, base64.b64encode(columns).decode())


def day_digest(parts: Sequence[str]) -> str:
    """The digest of a day from those of its parts, in order."""
    if len(parts) == 1:
        return parts[0]
    return blake3(b"moi-backup day 1\n" + b"".join(map(bytes.fromhex, parts))).hexdigest()


def chunk_digest(days: Iterable[tuple[str, str]]) -> str:
    """The digest of a chunk from (label, digest) of its days, in order."""
    hasher = blake3(b"moi-backup chunk 1\n")
    for label, digest in days:
        hasher.update(label.encode() + b"\n" + bytes.fromhex(digest))
    return hasher.hexdigest()


def table_digest(days: Iterable[tuple[str, int, str]]) -> str:
    """The digest of a table from (label, rows, digest) of all its days, in the order of `model.day.order_of`."""
    hasher = blake3(b"moi-backup table 1\n")
    for label, rows, digest in days:
        hasher.update(f"{label}\n{rows}\n".encode() + bytes.fromhex(digest))
    return hasher.hexdigest()


def _column_digest(
    key: bytes | None, validity: np.ndarray[Any, Any] | None, values: _Values, start: int, stop: int
) -> bytes:
    first = _all_valid(stop - start) if validity is None else _packed(validity[start:stop])
    hasher = blake3(first) if key is None else blake3(first, key=key)
    values.feed(hasher, start, stop)
    return hasher.digest(length=COLUMN_DIGEST_BYTES)


def _contiguous(column: Any) -> Any:
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # an empty column combines to no chunk at all
        array = arrow.array([], type=column.type)
    return array.storage if isinstance(array.type, pa.BaseExtensionType) else array


def _validity(array: Any) -> np.ndarray[Any, Any] | None:
    return None if array.null_count == 0 else array.is_valid().to_numpy(zero_copy_only=False)


def _values(array: Any) -> _Values:
    kind = array.type
    if pa.types.is_boolean(kind):
        return _Bits(pc.fill_null(array, fill_value=False).to_numpy(zero_copy_only=False))
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return _variable(array, np.dtype("<i4"), b"" if pa.types.is_binary(kind) else "")
    if pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        return _variable(array, np.dtype("<i8"), b"" if pa.types.is_large_binary(kind) else "")
    return _fixed(array)


def _variable(array: Any, offset_type: np.dtype[Any], empty: bytes | str) -> _Values:
    filled = array.fill_null(empty) if array.null_count else array
    _, offsets_buffer, data = filled.buffers()
    if len(filled) == 0 or offsets_buffer is None:
        return _Variable(np.zeros(len(filled) + 1, dtype="<i8"), memoryview(b""))
    offsets = np.frombuffer(offsets_buffer, dtype=offset_type)[filled.offset : filled.offset + len(filled) + 1]
    return _Variable(offsets.astype("<i8"), memoryview(b"" if data is None else data))


def _fixed(array: Any) -> _Values:
    width = array.type.bit_width // 8
    filled = _zeroed(_one_nan(array))
    data = filled.buffers()[1]
    if len(filled) == 0 or data is None:
        return _Fixed(memoryview(b""), width)
    return _Fixed(memoryview(data)[filled.offset * width : (filled.offset + len(filled)) * width], width)


def _one_nan(array: Any) -> Any:
    """Every NaN becomes the quiet NaN without payload; -0 and the infinities stay."""
    if not pa.types.is_floating(array.type):
        return array
    nan = pc.is_nan(array)
    return pc.if_else(nan, pa.scalar(float("nan"), array.type), array) if pc.any(nan).as_py() else array


def _zeroed(array: Any) -> Any:
    if array.null_count == 0:
        return array
    width = array.type.bit_width // 8
    raw = np.frombuffer(array.buffers()[1], dtype=np.uint8)[array.offset * width : (array.offset + len(array)) * width]
    cleared = raw.reshape(len(array), width) * array.is_valid().to_numpy(zero_copy_only=False)[:, None]
    kind = arrow.binary(width)
    return arrow.FixedSizeBinaryArray.from_buffers(kind, len(array), [None, pa.py_buffer(cleared.tobytes())])


def _packed(bits: np.ndarray[Any, Any]) -> bytes:
    return np.packbits(bits, bitorder="little").tobytes()


def _all_valid(count: int) -> bytes:
    whole, rest = divmod(count, 8)
    return b"\xff" * whole + (bytes([(1 << rest) - 1]) if rest else b"")
