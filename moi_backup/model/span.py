"""How the days of a table are grouped into spans, one chunk each: a pure function of the row counts.

Small tables would become thousands of tiny files if every day had one, so a month with few rows is one chunk.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from moi_backup.model.day import month_of, order_of

MONTH_ROWS = 20_000


class Span(NamedTuple):
    """Days (label, rows) whose rows are stored together; `name` is a month or the label of the only day."""

    name: str
    month: str
    days: tuple[tuple[str, int], ...]

    @property
    def is_month(self) -> bool:
        """Whether the whole month is one chunk; otherwise the day may have several parts."""
        return self.name == self.month and self.name != self.days[0][0]

    @property
    def rows(self) -> int:
        """Rows of all its days."""
        return sum(rows for _, rows in self.days)


def plan_spans(rows_of_day: Mapping[str, int]) -> list[Span]:
    """Spans in day order for a table with these rows a day; days without rows have no span."""
    months: dict[str, list[tuple[str, int]]] = {}
    for label in sorted((label for label, rows in rows_of_day.items() if rows), key=order_of):
        months.setdefault(month_of(label), []).append((label, rows_of_day[label]))
    return [span for month, days in months.items() for span in _spans_of(month, days)]


def _spans_of(month: str, days: list[tuple[str, int]]) -> list[Span]:
    if days[0][0] != month and sum(rows for _, rows in days) <= MONTH_ROWS:
        return [Span(month, month, tuple(days))]
    return [Span(label, month, ((label, rows),)) for label, rows in days]
