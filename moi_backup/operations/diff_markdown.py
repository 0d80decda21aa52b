"""The difference of one table as Markdown, for places that show it: counts, days, columns, sums. Never any row."""

from __future__ import annotations

import re
from collections.abc import Sequence

from moi_backup.model.diff import TableDiff

DAYS = 40
_MARKDOWN = re.compile(r"([\\`*\[\]<>|~])")
_COUNTS = ("inserted", "updated", "deleted", "unchanged")


def diff_markdown(table: TableDiff, *, days: int = DAYS) -> str:
    """A heading line, what is to be said, and a table of at most so many of the days that differ."""
    if table.status != "compared":
        rows = f"only before: {table.rows_before:,} rows"
        rows = f"only after: {table.rows_after:,} rows" if table.status == "only_after" else rows
        return f"**{_cell(str(table.table))}** {_cell(table.error) if table.status == 'failed' else rows}"
    counts = ", ".join(f"{getattr(table, name):,} {name}" for name in _COUNTS)
    parts = [f"**{_cell(str(table.table))}** {counts}", *_said(table)]
    if table.days:
        shown = [(day.day, *(f"{getattr(day, name):,}" for name in _COUNTS)) for day in table.days[:days]]
        parts.append(_table(("day", *_COUNTS), shown))
    if len(table.days) > days:
        parts.append(f"… and {len(table.days) - days:,} more days.")
    sums = [
        (_cell(found.name), found.before or "unknown", found.after or "unknown", found.difference or "unknown")
        for found in table.sums
        if table.days and found.before != found.after
    ]
    if sums:
        parts.append(_table(("sum over the days that differ", "before", "after", "difference"), sums))
    return "\n\n".join(parts)


def _said(table: TableDiff) -> list[str]:
    """Changed columns, what differs by definition, and what was left out."""
    found = [f"{_cell(entry.name)}: {_cell(entry.what)}" for entry in table.schema]
    found += [f"not compared: {_cell(text)}" for text in table.left_out]
    found += [f"differs in these columns alone on {', '.join(table.hidden_days)}"] if table.hidden_days else []
    columns = ", ".join(f"{_cell(column.name)} {column.rows:,}" for column in table.columns)
    return [*found, f"Changed columns: {columns}"] if columns else found


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---"] + ["---:"] * (len(headings) - 1)
    return "\n".join(f"| {' | '.join(line)} |" for line in [headings, rule, *rows])


def _cell(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))
