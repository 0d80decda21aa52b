"""The conflict policies as they are described, over rows in plain lists: day, k, amount, number, at."""

from __future__ import annotations

import struct
from collections import Counter
from typing import Any

from moi_backup.model.conflict_policy import ConflictPolicy

Row = tuple[Any, ...]
NAMES = ["Day", "k", 'odd "name"', "day", "at"]


def bits(row: Row) -> Row:
    """A row whose float is its bits, so that Python compares as the stored format does."""
    return tuple(struct.pack("<d", value).hex() if isinstance(value, float) else value for value in row)


def key_of(row: Row, key: tuple[str, ...] | None) -> Row:
    return bits(row) if key is None else tuple(bits(row)[NAMES.index(name)] for name in key)


def difference(mine: list[Row], other: list[Row]) -> Counter[Row]:
    return Counter(map(bits, mine)) - Counter(map(bits, other))


def groups(rows: Counter[Row], key: tuple[str, ...] | None) -> dict[Row, Counter[Row]]:
    found: dict[Row, Counter[Row]] = {}
    for row, count in rows.items():
        found.setdefault(key_of(row, key), Counter())[row] = count
    return found


def expected(
    policy: ConflictPolicy, live: list[Row], backup: list[Row], base: list[Row], key: tuple[str, ...] | None
) -> tuple[Counter[Row], set[Row]]:
    """The rows after a restore, and the keys in conflict: group by group, as the policies are described."""
    gone, come = groups(difference(live, backup), key), groups(difference(backup, live), key)
    live_changed = set(groups(difference(live, base) + difference(base, live), key))
    backup_changed = set(groups(difference(backup, base) + difference(base, backup), key))
    result, conflicts = Counter(map(bits, live)), set[Row]()
    for group in gone.keys() | come.keys():
        mine, theirs = gone.get(group, Counter[Row]()), come.get(group, Counter[Row]())
        both = bool(mine) and bool(theirs)
        newest = [max((row[4] for row in rows if row[4] is not None), default=0) for rows in (mine, theirs)]
        takes = {
            "keep-live": not mine,
            "fail": not mine,
            "take-backup": bool(theirs),
            "take-newer": bool(theirs) and (not mine or newest[1] > newest[0]),
            "replace": True,
            "merge": group not in live_changed,
        }[policy]
        if takes:
            result = result - mine + theirs
        if policy == "merge":
            conflicts |= {group} if group in live_changed and group in backup_changed else set()
        elif policy != "replace" and both:
            conflicts.add(group)
    return result, conflicts
