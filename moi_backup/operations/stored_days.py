"""The days of a table in a backup as a person counts them, and which of them differ from what is known elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from moi_backup.lake.digest import day_digest
from moi_backup.model.day import DayRange, order_of
from moi_backup.model.table import ChunkDay
from moi_backup.operations.stored_table import StoredTable

EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class StoredDay:
    """One day: its rows, its share of the stored bytes (a shared chunk is split by rows), the digest of its rows.

    A day without rows has no digest in a backup; `EMPTY` stands for it.
    """

    day: str
    rows: int = 0
    bytes: int = 0
    digest: str = EMPTY


def stored_days(stored: StoredTable, *, days: DayRange | None = None) -> dict[str, StoredDay]:
    """Every day with rows, by its label in day order; undated and infinite days only without a range."""
    parts: dict[str, list[ChunkDay]] = {}
    sizes: dict[str, float] = {}
    for chunk in stored.chunks(days):
        for part in chunk.days:
            if days is None or part.day in days:
                parts.setdefault(part.day, []).append(part)
                sizes[part.day] = sizes.get(part.day, 0.0) + chunk.size * part.rows / chunk.rows
    return {label: _day(label, found, round(sizes[label])) for label, found in parts.items()}


def changed_days(stored: Mapping[str, StoredDay], known: Mapping[str, str]) -> list[StoredDay]:
    """The days whose digest is not the known one, in day order; a known day that is gone comes back empty.

    `known` maps labels to digests (or EMPTY) and holds no day outside of what `stored` covers.
    """
    gone = {label: StoredDay(label) for label in known if label not in stored}
    days = {**stored, **gone}
    return [days[label] for label in sorted(days, key=order_of) if days[label].digest != known.get(label)]


def _day(label: str, parts: list[ChunkDay], size: int) -> StoredDay:
    return StoredDay(label, sum(part.rows for part in parts), size, day_digest([part.digest for part in parts]))
