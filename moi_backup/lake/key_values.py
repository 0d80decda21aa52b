"""Values of a key as people write them, read as the type in which their column is stored; never rounded, never guessed.

Types that Parquet does not know (unbounded numeric, arrays ...) are compared as the text that Postgres writes for them.
"""

# pyarrow's stubs leave the types of arrays unknown.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa

from moi_backup.errors import UsageError
from moi_backup.lake.arrow_types import arrow_type
from moi_backup.lake.untyped import arrow, pc
from moi_backup.model.day import number_of
from moi_backup.model.table import Column

_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NO_NUMBER = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}
_TRUTH = {"true": True, "t": True, "false": False, "f": False}
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d(:?\d\d)?)?")
_PADDED = re.compile(r"character\((\d+)\)")
_BYTES = re.compile(r"\\x([0-9a-fA-F]{2})*")


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A column and the value it must have, as an Arrow scalar of the stored type; None is NULL."""

    column: Column
    value: Any


def key_value(column: Column, text: str | None) -> KeyValue:
    """The value of a column that a person wrote; None stands for NULL. Raises UsageError for what is no such value."""
    if text is None:
        return KeyValue(column, None)
    try:
        return KeyValue(column, _scalar(column, text))
    except (ValueError, OverflowError, pa.ArrowException) as error:
        raise UsageError(
            f"{text!r} is no value of column {column.name} ({column.pg_type}).",
            meaning="Values are compared in the type of the column, and never rounded to fit it.",
            remedy=f"Write {_example(column)}; NULL is asked for by --key-null {column.name}.",
        ) from error


def positions(rows: pa.Table, key: Sequence[KeyValue]) -> np.ndarray[Any, Any]:
    """Where in the rows (canonical columns by name) all columns of the key have their value."""
    mask = np.ones(rows.num_rows, dtype=bool)
    for part in key:
        mask &= _matches(rows.column(part.column.name), part.value)
    return np.flatnonzero(mask)


def _matches(column: Any, value: Any) -> np.ndarray[Any, Any]:
    if value is None:
        found = pc.is_null(column)
    elif pa.types.is_floating(value.type) and np.isnan(value.as_py()):
        found = pc.is_nan(column)
    else:
        found = pc.equal(column, value)
    return pc.fill_null(found, False).to_numpy()  # noqa: FBT003 - Arrow takes it by position


def _scalar(column: Column, text: str) -> Any:
    kind = arrow_type(column.arrow)
    if pa.types.is_date32(kind):
        return arrow.scalar(_day(text), pa.int32()).cast(kind)
    return arrow.scalar(_value(column, kind, text), kind)


def _value(column: Column, kind: pa.DataType, text: str) -> Any:  # noqa: PLR0911 - one way a type
    if pa.types.is_boolean(kind):
        return _TRUTH.get(text.lower()) if text.lower() in _TRUTH else _none_such(text)
    if pa.types.is_integer(kind):
        return int(_matched(_INTEGER, text))
    if pa.types.is_decimal(kind):
        return Decimal(_matched(_NUMBER, text))
    if pa.types.is_floating(kind):
        return float(_NO_NUMBER.get(text) or _matched(_NUMBER, text))
    if pa.types.is_timestamp(kind):
        return _moment(text, zoned=column.pg_type.endswith("with time zone"))
    if pa.types.is_fixed_size_binary(kind):
        return UUID(text).bytes
    if pa.types.is_binary(kind):
        return bytes.fromhex(_matched(_BYTES, text)[2:])
    padded = _PADDED.fullmatch(column.pg_type)
    return text.ljust(int(padded[1])) if padded else text


def _matched(pattern: re.Pattern[str], text: str) -> str:
    return text if pattern.fullmatch(text) else _none_such(text)


def _none_such(text: str) -> Any:
    raise ValueError(text)


def _day(text: str) -> int:
    number = number_of(text)
    return _none_such(text) if number is None else number


def _moment(text: str, *, zoned: bool) -> datetime:
    moment = datetime.fromisoformat(_matched(_MOMENT, text))
    return _none_such(text) if zoned == (moment.tzinfo is None) else moment


def _example(column: Column) -> str:
    kind = arrow_type(column.arrow)
    if pa.types.is_boolean(kind):
        return "true or false"
    if pa.types.is_date32(kind):
        return "a day as 2025-09-14"
    if pa.types.is_timestamp(kind):
        zoned = column.pg_type.endswith("with time zone")
        return f"a moment as {'2025-09-14T10:30:00+05:30' if zoned else '2025-09-14T10:30:00'}"
    if pa.types.is_fixed_size_binary(kind):
        return "a uuid"
    if pa.types.is_binary(kind):
        return r"bytes as \x00ff"
    return f"a number that fits {column.pg_type}"
