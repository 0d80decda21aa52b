"""A comparison as people read it: table by table as they come, then the totals."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from moi_backup.cli import wording
from moi_backup.cli.output import Output
from moi_backup.model.diff import ComparedState, DiffResult, RowChange, TableDiff

_PAGE_ROWS = 1000
_COUNTS = ("inserted", "updated", "deleted", "unchanged")


def tell_table(output: Output, table: TableDiff, rows: Iterator[RowChange], *, limit: int) -> None:
    """One table, with at most `limit` of its rows."""
    output.line(_headline(table))
    for difference in table.schema:
        output.line(f"  {difference.name}: {difference.what}")
    for text in table.left_out:
        output.line(f"  not compared: {text}")
    if table.hidden_days:
        output.line(f"  differs in nothing but these columns on: {', '.join(table.hidden_days)}")
    _tell_days(output, table)
    if table.columns:
        output.line("Changed columns: " + ", ".join(f"{column.name} {column.rows:,}" for column in table.columns))
    _tell_sums(output, table)
    if limit:
        _tell_rows(output, table, rows, limit=limit)
    if table.days:
        output.line()


def tell_end(output: Output, result: DiffResult, *, timezone: str) -> None:
    """What was compared, the totals, and what could not be compared."""
    for note in result.notes:
        output.line(f"Note: {note}")
    days = f", days {result.days}" if result.days is not None else ""
    output.line(f"From {_state(result.before, timezone)} to {_state(result.after, timezone)}{days}:")
    failed = sum(table.status == "failed" for table in result.tables)
    if not result.differs:
        output.line("No difference." if not failed else "No difference in what was compared.")
    else:
        counts = {name: sum(getattr(table, name) for table in result.tables) for name in _COUNTS}
        output.line(", ".join(f"{wording.count(count)} {name}" for name, count in counts.items()) + " rows.")
    if failed:
        output.line(f"{wording.counted(failed, 'table')} could not be compared.")


def _headline(table: TableDiff) -> str:
    name = str(table.table)
    if table.status == "failed":
        days = f" (days: {', '.join(table.error_days)})" if table.error_days else ""
        return f"{name}: not compared: {table.error}{days}"
    if table.status == "only_before":
        return f"{name}: only before, {wording.counted(table.rows_before, 'row')}"
    if table.status == "only_after":
        return f"{name}: only after, {wording.counted(table.rows_after, 'row')}"
    if not table.days:
        return f"{name}: no row differs ({wording.counted(table.unchanged, 'row')})"
    key = f"by {', '.join(table.key)}" if table.key else "it has no key, so a changed row is one deleted, one inserted"
    counts = ", ".join(f"{wording.count(getattr(table, name))} {name}" for name in _COUNTS)
    return f"{name}: {counts} ({key})"


def _tell_days(output: Output, table: TableDiff) -> None:
    if table.days:
        rows = [(day.day, *(wording.count(getattr(day, name)) for name in _COUNTS)) for day in table.days]
        output.table(("day", *_COUNTS), rows, right=_COUNTS)


def _tell_sums(output: Output, table: TableDiff) -> None:
    """The sums that differ; one that is not known is said to be so."""
    rows = [
        (found.name, found.before or "unknown", found.after or "unknown", _signed(found.difference))
        for found in table.sums
        if table.days and found.before != found.after
    ]
    if rows:
        right = ("before", "after", "difference")
        output.table(("sum over these days", *right), rows, right=right)


def _signed(text: str | None) -> str:
    return "unknown" if text is None else text if text.startswith("-") else f"+{text}"


def _tell_rows(output: Output, table: TableDiff, rows: Iterator[RowChange], *, limit: int) -> None:
    """Pages of rows, each aligned for itself, so that a long list does not have to be held."""
    shown = 0
    while page := list(itertools.islice(rows, min(_PAGE_ROWS, limit - shown))):
        headings = ("day", "", "row", "changed")
        output.table(headings, [(row.day, row.kind, _row(row), _changed(row)) for row in page])
        shown += len(page)
    rest = table.inserted + table.updated + table.deleted - shown
    if rest > 0:
        output.line(f"... and {wording.counted(rest, 'row')} more (--limit)")


def _row(row: RowChange) -> str:
    return _values(row.key) if row.key else _values(row.after or row.before)


def _changed(row: RowChange) -> str:
    if row.kind == "updated":
        return ", ".join(f"{name}: {_text(row.before[name])} -> {_text(row.after[name])}" for name in row.after)
    rest = {name: value for name, value in (row.after or row.before).items() if name not in row.key}
    return _values(rest) if row.key else ""


def _values(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}={_text(value)}" for name, value in values.items())


def _text(value: Any) -> str:
    return "NULL" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _state(state: ComparedState, timezone: str) -> str:
    return f"{state.backup} ({wording.local_time(state.at, timezone=timezone)})"
