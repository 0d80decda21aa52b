"""What became of rows between two moments: appeared, changed column by column, disappeared. Nothing is read here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import msgspec

from moi_backup.lake.row_texts import Row

What = Literal["present", "appeared", "changed", "disappeared"]


class ColumnChange(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a row that changed; None is NULL, and what a column holds that does not exist."""

    column: str
    before: str | None
    after: str | None


class RowChange(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a row, and of so many `rows` equal to it.

    `row` is the row afterwards (of one that disappeared: before), without its NULLs. `present` is said of what the
    oldest backup holds: when it came is not known.
    """

    what: What
    rows: int
    row: dict[str, str]
    columns: tuple[ColumnChange, ...] = ()


def row_changes(before: Counter[Row], after: Counter[Row], *, key: Sequence[str] | None) -> tuple[RowChange, ...]:
    """How the one multiset of rows became the other.

    A row that went and one that came are one row that changed when both alone have this value of the `key`; without a
    key, when nothing else went or came.
    """
    gone, came = before - after, after - before
    pairs = _pairs(gone, came, key)
    changed = [RowChange(what="changed", rows=1, row=dict(new), columns=_columns(old, new)) for old, new in pairs]
    gone -= Counter(old for old, _ in pairs)
    came -= Counter(new for _, new in pairs)
    return (*_told("disappeared", gone), *changed, *_told("appeared", came))


def present(rows: Counter[Row]) -> tuple[RowChange, ...]:
    """What is there at the beginning."""
    return tuple(_told("present", rows))


def _told(what: What, rows: Counter[Row]) -> list[RowChange]:
    return [RowChange(what=what, rows=rows[row], row=dict(row)) for row in sorted(rows)]


def _pairs(gone: Counter[Row], came: Counter[Row], key: Sequence[str] | None) -> list[tuple[Row, Row]]:
    if key is None:
        both = gone.total() == came.total() == 1
        return [(next(iter(gone)), next(iter(came)))] if both else []
    old, new = _by_key(gone, key), _by_key(came, key)
    return [(old[value], new[value]) for value in sorted(old.keys() & new.keys(), key=repr)]


def _by_key(rows: Counter[Row], key: Sequence[str]) -> dict[tuple[str | None, ...], Row]:
    """The rows that alone have their value of the key."""
    counts: Counter[tuple[str | None, ...]] = Counter()
    found: dict[tuple[str | None, ...], Row] = {}
    for row, count in rows.items():
        values = dict(row)
        value = tuple(values.get(name) for name in key)
        counts[value] += count
        found[value] = row
    return {value: row for value, row in found.items() if counts[value] == 1}


def _columns(old: Row, new: Row) -> tuple[ColumnChange, ...]:
    before, after = dict(old), dict(new)
    names = sorted(before.keys() | after.keys())
    pairs = [ColumnChange(column=name, before=before.get(name), after=after.get(name)) for name in names]
    return tuple(pair for pair in pairs if pair.before != pair.after)
