"""Reading rows: which SELECTs bring the wanted spans, and the canonical batches they give.

One statement reads up to five million rows, so the server's sort stays bounded; consecutive spans become one range of
days.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from moi_backup.model.day import INFINITY, MINUS_INFINITY, UNDATED
from moi_backup.model.span import Span
from moi_backup.model.table import Column, DayColumn, TableName
from moi_backup.postgres.day_sql import day_expression, day_predicate
from moi_backup.postgres.identifiers import qualified, quote_identifier
from moi_backup.postgres.types import order_expression, select_expression

ROWS_PER_READ = 5_000_000
WORK_MEM = "64MB"


class RowSource(NamedTuple):
    """A table to read: its columns in stored order, its day column, and the row order within a day."""

    table: TableName
    only: bool
    columns: tuple[Column, ...]
    day: DayColumn | None
    order_by: tuple[str, ...]

    @property
    def labelled(self) -> bool:
        """Whether the SELECT adds the day as a column of its own, after the others."""
        return self.day is not None and self.day.kind != "date"

    def free_name(self, name: str) -> str:
        """The name, or one like it, that no column has: an ORDER BY would take the column for the added field."""
        taken = {column.name for column in self.columns}
        while name in taken:
            name += "_"
        return name


class Read(NamedTuple):
    """One statement's worth of spans, in day order."""

    spans: tuple[Span, ...]
    runs: tuple[tuple[str, str], ...]


def plan_reads(spans: Sequence[Span], wanted: Sequence[bool]) -> list[Read]:
    """Statements that read the wanted ones of a table's spans (all of them, in day order)."""
    reads: list[Read] = []
    chosen: list[Span] = []
    runs: list[tuple[str, str]] = []
    rows, previous = 0, False
    for span, want in zip(spans, wanted, strict=True):
        if want:
            if chosen and rows + span.rows > ROWS_PER_READ:
                reads.append(Read(tuple(chosen), tuple(runs)))
                chosen, runs, rows, previous = [], [], 0, False
            _extend(runs, span, joined=previous)
            chosen.append(span)
            rows += span.rows
        previous = want
    return [*reads, Read(tuple(chosen), tuple(runs))] if chosen else reads


def _extend(runs: list[tuple[str, str]], span: Span, *, joined: bool) -> None:
    first, last = span.days[0][0], span.days[-1][0]
    lone = (UNDATED, INFINITY, MINUS_INFINITY)
    if joined and runs and first not in lone and runs[-1][0] not in lone:
        runs[-1] = (runs[-1][0], last)
    else:
        runs.append((first, last))


def select_rows(
    source: RowSource, runs: Sequence[tuple[str, str]] | None, *, ordered: bool = True, extra: Sequence[str] = ()
) -> str:
    """The SELECT of the given runs of days (None: every row), in the order of the digest or as the server has them.

    `extra` fields come after the table's columns.
    """
    by_name = {column.name: column for column in source.columns}
    fields = [f"{select_expression(column)} AS {quote_identifier(column.name)}" for column in source.columns]
    fields += extra
    order = [_order(by_name[name]) for name in source.order_by]
    if source.day is not None:
        order.insert(0, f"{day_expression(source.day)} ASC NULLS LAST")
        if source.labelled:
            fields.append(f"{day_expression(source.day)} AS {source.free_name('moi_day')}")
    where = "" if runs is None else f" WHERE {day_predicate(source.day, runs)}"
    by = f" ORDER BY {', '.join(order)}" if ordered else ""
    return f"SELECT {', '.join(fields)} FROM {from_clause(source)}{where}{by}"


def from_clause(source: RowSource) -> str:
    """The table as it stands after FROM."""
    return f"{'ONLY ' if source.only else ''}{qualified(source.table)}"


def _order(column: Column) -> str:
    expression = order_expression(column)
    return expression.removesuffix(" NULLS FIRST") if column.not_null else expression


def shared_snapshot(snapshot_statement: str, settings: Sequence[str]) -> Iterator[str]:
    """The statements that make a second session see the coordinating transaction's snapshot."""
    yield "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    yield snapshot_statement
    yield from settings
    yield f"SET LOCAL work_mem = '{WORK_MEM}'"
    yield "SET LOCAL jit = off"
