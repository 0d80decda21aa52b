"""What a restore in place does to the rows of a table, as Markdown: days, sums, columns. Never a row."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from moi_backup.model.restore import DayChange, TableChanges
from moi_backup.operations.markdown import markdown_cell, markdown_rows

DAYS = 40
_COUNTS = ("inserted", "updated", "deleted", "kept", "unchanged")


def changes_markdown(changes: TableChanges, *, days: int = DAYS) -> str:
    """The days that differ (at most so many), each with its rows and the sums that change, and what else happens."""
    if not changes.days and not changes.written:
        return f"No row differs ({changes.unchanged:,} are as in the backup)."
    rows = [(found.day, *(getattr(found, name) for name in _COUNTS), _sums(found)) for found in changes.days[:days]]
    return "\n\n".join([markdown_rows(("day", *_COUNTS, "sums"), rows), *_said(changes, days=days)])


def without_columns(changes: TableChanges, hidden: Collection[str]) -> TableChanges:
    """The same changes, saying nothing of these columns; the keys in conflict may be made of them, so they go too."""
    shown = tuple(
        msgspec.structs.replace(day, sums=tuple(found for found in day.sums if found.column not in hidden))
        for day in changes.days
    )
    columns = {name: rows for name, rows in changes.columns.items() if name not in hidden}
    keys = () if hidden else changes.conflict_keys
    return msgspec.structs.replace(changes, days=shown, columns=columns, conflict_keys=keys)


def _said(changes: TableChanges, *, days: int) -> Iterator[str]:
    if len(changes.days) > days:
        yield f"... and {len(changes.days) - days:,} more days."
    if changes.columns:
        yield "Rows in which a column changes: " + ", ".join(
            f"{markdown_cell(name)} {rows:,}" for name, rows in changes.columns.items()
        )
    if changes.renumbered:
        yield f"{changes.renumbered:,} rows get another number, because a row that stays has theirs."
    if changes.conflict_keys:
        more = changes.conflicts - len(changes.conflict_keys)
        rest = f"; and {more:,} more" if more > 0 else ""
        yield f"Differ on both sides: {markdown_cell('; '.join(changes.conflict_keys))}{rest}"
    if changes.disabled_triggers:
        yield f"Triggers kept from firing: {markdown_cell(', '.join(changes.disabled_triggers))}"


def _sums(day: DayChange) -> str:
    """The sums that change; one that is no number is unknown."""
    return ", ".join(
        f"{found.column} {found.before or 'unknown'} → {found.after or 'unknown'}"
        for found in day.sums
        if found.before != found.after
    )
