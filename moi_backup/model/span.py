"""How the days of a table are grouped into spans: a pure function of the row counts (docs/format.md, "Spans").

Days share a chunk while it stays small, or a table of many days would become thousands of tiny files. The grouping is
a fixed hierarchy (month, third of a month, day), so the growth of one day never moves the borders of others
elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import NamedTuple

from moi_backup.model.day import month_of, order_of

SHARED_ROWS = 20_000
Days = tuple[tuple[str, int], ...]


class Span(NamedTuple):
    """Days (label, rows) that are stored together; `name` is a month, a third of one, or the label of the only day."""

    name: str
    month: str
    days: Days

    @property
    def is_shared(self) -> bool:
        """Whether all its days are one chunk; otherwise it is one day, which may have several parts."""
        return self.name != self.days[0][0]

    @property
    def rows(self) -> int:
        """Rows of all its days."""
        return sum(rows for _, rows in self.days)


def plan_spans(rows_of_day: Mapping[str, int]) -> list[Span]:
    """Spans in day order for a table with these rows a day; days without rows have no span."""
    days = [(label, rows_of_day[label]) for label in sorted(rows_of_day, key=order_of) if rows_of_day[label]]
    return [
        span
        for month, of_month in groupby(days, lambda day: month_of(day[0]))
        for span in _of_month(month, tuple(of_month))
    ]


def third_of(label: str) -> str:
    """The third of a month a day lies in: `2025-09-01_10`, `2025-09-11_20`, `2025-09-21_31`."""
    month, _, day = label.rpartition("-")
    first = 1 if int(day) <= 10 else 11 if int(day) <= 20 else 21
    return f"{month}-{first:02d}_{first + 9 if first < 21 else 31}"


def may_hold(span: str, label: str) -> bool:
    """Whether a day can lie in a span of this name."""
    return span in (label, month_of(label)) or (month_of(label) != label and span == third_of(label))


def _of_month(month: str, days: Days) -> list[Span]:
    if days[0][0] == month:  # undated and infinite days have no month to share
        return [Span(month, month, days)]
    if sum(rows for _, rows in days) <= SHARED_ROWS:
        return [Span(month, month, days)]
    return [
        span
        for third, of_third in groupby(days, lambda day: third_of(day[0]))
        for span in _of_third(third, month, tuple(of_third))
    ]


def _of_third(third: str, month: str, days: Days) -> list[Span]:
    if sum(rows for _, rows in days) <= SHARED_ROWS:
        return [Span(third, month, days)]
    return [Span(label, month, ((label, rows),)) for label, rows in days]
