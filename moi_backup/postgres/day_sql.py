"""Days in SQL: the date a row belongs to, and predicates that pick days (docs/format.md, "Spans")."""

from __future__ import annotations

from collections.abc import Iterable

from moi_backup.model.day import INFINITY, MINUS_INFINITY, UNDATED, number_of
from moi_backup.model.table import DayColumn
from moi_backup.postgres.identifiers import quote_identifier, quote_literal

EPOCH = "'1970-01-01'::date"


def day_expression(day: DayColumn) -> str:
    """SQL of type date: the day of a row."""
    column = quote_identifier(day.column)
    if day.kind == "timestamptz":
        return f"({column} AT TIME ZONE {quote_literal(day.timezone)})::date"
    return column if day.kind == "date" else f"{column}::date"


def day_predicate(day: DayColumn | None, runs: Iterable[tuple[str, str]]) -> str:
    """SQL that holds for the rows of the given runs of days (first label, last label; both inclusive).

    A run lies within the dates or is one of -infinity, infinity, undated alone. A table without a day column has only
    undated rows.
    """
    if day is None:
        return "true"
    return " OR ".join(_run(day, first, last) for first, last in runs) or "false"


def _run(day: DayColumn, first: str, last: str) -> str:
    expression = day_expression(day)
    if first == UNDATED:
        return f"({quote_identifier(day.column)} IS NULL)"
    if first in (INFINITY, MINUS_INFINITY):
        return f"({expression} = {quote_literal(first)}::date)"
    low, high = number_of(first), number_of(last)
    exact = f"{expression} >= {EPOCH} + ({low}) AND {expression} <= {EPOCH} + ({high})"
    return f"({exact})" if day.kind == "date" else f"({exact} AND {_indexed(day, low or 0, high or 0)})"


def _indexed(day: DayColumn, low: int, high: int) -> str:
    """A wider condition on the bare column, which an index on it can serve; a day's slack covers every time zone."""
    column = quote_identifier(day.column)
    kind = "timestamptz" if day.kind == "timestamptz" else "timestamp"
    return f"{column} >= ({EPOCH} + ({low - 1}))::{kind} AND {column} < ({EPOCH} + ({high + 2}))::{kind}"
