"""Two stored forms of a column brought to one, where that loses nothing: a widened type, a column kept as text.

What has no common form here is not compared, and is named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from moi_backup.lake.arrow_types import arrow_type
from moi_backup.lake.untyped import arrow, pc
from moi_backup.model.day import label_of
from moi_backup.model.table import Column

_DIGITS = {"int16": 5, "int32": 10, "int64": 19}
_DECIMAL = re.compile(r"decimal128\((\d+), (\d+)\)")
_MICROSECONDS_A_DAY = 86_400_000_000
_TIMESTAMPS = ("timestamp[us]", "timestamp[us, tz=UTC]")


def common_form(one: Column, other: Column) -> Column | None:
    """The column in a form to which both can be brought without loss; None when there is none."""
    if one.arrow == other.arrow:
        return one
    for narrow, wide in ((one, other), (other, one)):
        if _widens(narrow.arrow, wide.arrow) or _has_text(narrow, wide):
            return msgspec.structs.replace(one, pg_type=wide.pg_type, encoding=wide.encoding, arrow=wide.arrow)
    return None


def converted(rows: pa.Table, columns: Sequence[Column], form: Sequence[Column]) -> pa.Table:
    """Rows in these columns with each brought to the form of the same name; other columns stay."""
    if columns is form:
        return rows
    then = {column.name: column for column in columns}
    for wanted in form:
        if then[wanted.name].arrow != wanted.arrow:
            place = rows.column_names.index(wanted.name)
            array = _cast(rows.column(place), wanted.arrow)
            rows = rows.set_column(place, pa.field(wanted.name, arrow_type(wanted.arrow)), array)
    return rows


def _widens(narrow: str, wide: str) -> bool:
    if narrow in _DIGITS and wide in _DIGITS:
        return _DIGITS[narrow] < _DIGITS[wide]
    if (narrow, wide) == ("float", "double"):
        return True
    target = _DECIMAL.fullmatch(wide)
    if target is None:
        return False
    precision, scale = int(target[1]), int(target[2])
    if narrow in _DIGITS:
        return precision - scale >= _DIGITS[narrow]
    source = _DECIMAL.fullmatch(narrow)
    return source is not None and scale >= int(source[2]) and precision - scale >= int(source[1]) - int(source[2])


def _has_text(native: Column, text: Column) -> bool:
    """Whether the text of the native values is what Postgres would have written into the text form."""
    if text.arrow != "string":
        return False
    if native.arrow in _DIGITS or _DECIMAL.fullmatch(native.arrow):
        return text.pg_type.partition("(")[0] in ("numeric", "text", "character varying")
    return text.encoding == "text" and native.arrow in _TIMESTAMPS and native.pg_type == text.pg_type


def _cast(column: Any, wanted: str) -> Any:
    if wanted != "string":
        return pc.cast(column, arrow_type(wanted))
    text = _TEXTS.get(str(column.type), _plain)
    values = column.cast(pa.int64()) if str(column.type) in _TIMESTAMPS else column
    return arrow.array([None if value is None else text(value) for value in values.to_pylist()], pa.string())


def _plain(value: Any) -> str:
    """A whole number or a decimal with all its digits, never with an exponent."""
    return format(value, "f") if not isinstance(value, int) else str(value)


def _timestamp(microseconds: int) -> str:
    """As Postgres writes it in ISO style."""
    days, rest = divmod(microseconds, _MICROSECONDS_A_DAY)
    seconds, fraction = divmod(rest, 1_000_000)
    time = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{_date(days)} {time}{f'.{fraction:06d}'.rstrip('0') if fraction else ''}"


def _date(days: int) -> str:
    label = label_of(days)
    year, rest = int(label[:-6]), label[-6:]
    return f"{1 - year:04d}{rest} BC" if year <= 0 else label


def _with_era(text: str, zone: str) -> str:
    """The era comes last: `0044-03-15 12:00:00+00 BC`."""
    return f"{text.replace(' BC', '', 1)}{zone}{' BC' if ' BC' in text else ''}"


_TEXTS: dict[str, Callable[[int], str]] = {
    "timestamp[us]": lambda value: _with_era(_timestamp(value), ""),
    "timestamp[us, tz=UTC]": lambda value: _with_era(_timestamp(value), "+00"),
}
