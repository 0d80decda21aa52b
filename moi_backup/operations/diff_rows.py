"""What a comparison found, as people and documents take it: sums as text, and of an updated row what changed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal, localcontext
from typing import Any

from moi_backup.lake.row_diff import ChangedRow, RowDiff
from moi_backup.lake.row_sets import Shape
from moi_backup.model.diff import ChangedColumn, ColumnSum, RowChange

_DIGITS = 80  # more than any sum has, so that nothing is rounded


def changed_columns(diff: RowDiff) -> tuple[ChangedColumn, ...]:
    """The columns that updated rows differ in, the most changed first."""
    found = sorted(diff.changed_columns().items(), key=lambda item: -item[1])
    return tuple(ChangedColumn(name=name, rows=rows) for name, rows in found)


def sums_of(diff: RowDiff, shape: Shape) -> tuple[ColumnSum, ...]:
    """The summed columns over the days that were compared."""
    texts = {column.name for column in shape.columns if column.arrow == "string"}
    return tuple(_sum(name, before, after, short=name in texts) for name, (before, after) in diff.totals().items())


def row_changes(diff: RowDiff, shape: Shape) -> Iterator[RowChange]:
    """Every row that differs, updated rows first."""
    key = shape.key or ()
    for row in diff.rows():
        yield _change(row, key)


def _change(row: ChangedRow, key: tuple[str, ...]) -> RowChange:
    before, after = _finite(row.before), _finite(row.after)
    found = after or before
    named = {name: found[name] for name in key}
    if not before or not after:
        kind = "inserted" if after else "deleted"
        return RowChange(day=row.day, kind=kind, key=named, before=before, after=after)
    # repr tells -0.0 from 0.0
    names = [name for name in after if repr(before[name]) != repr(after[name])]
    changed = ({name: side[name] for name in names} for side in (before, after))
    then, now = changed
    return RowChange(day=row.day, kind="updated", key=named, before=then, after=now)


def _finite(row: dict[str, Any] | None) -> dict[str, Any]:
    """A row whose NaN and infinities are texts, as JSON needs them; empty for none."""
    return {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in (row or {}).items()
    }


def _sum(name: str, before: Any, after: Any, *, short: bool) -> ColumnSum:
    with localcontext(prec=_DIGITS):
        known = not any(value is None or not math.isfinite(value) for value in (before, after))
        difference = after - before if known else None
    return ColumnSum(
        name=name,
        before=_text(before, short=short),
        after=_text(after, short=short),
        difference=_text(difference, short=short),
    )


def _text(value: Any, *, short: bool) -> str | None:
    if value is None or not math.isfinite(value):
        return None
    text = format(value, "f") if isinstance(value, Decimal) else repr(value)
    return text.rstrip("0").rstrip(".") if short and "." in text else text
