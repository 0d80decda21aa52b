"""Numbers, sizes, times and spans of time as people read them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from moi_backup.model.day import DayRange

_UNITS = ("kB", "MB", "GB", "TB", "PB")


def count(number: int) -> str:
    """`40,000`."""
    return f"{number:,}"


def counted(number: int, noun: str) -> str:
    """`1 table`, `3 tables`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def size(number: float) -> str:
    """Bytes in units of a thousand: `1.2 MB`."""
    if number < 1000:
        return f"{number:.0f} B"
    units = iter(_UNITS)
    unit, number = next(units), number / 1000
    while number >= 999.95 and (larger := next(units, None)):
        unit, number = larger, number / 1000
    return f"{number:.1f} {unit}"


def amount(number: int, unit: str) -> str:
    """Bytes as a size, anything else as a count of its unit."""
    return size(number) if unit == "bytes" else f"{count(number)} {unit}"


def age(seconds: float) -> str:
    """The two leading units are not worth more: `3 h`, `5 min`, `2 days`."""
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86400:.0f} days"


def duration(seconds: float) -> str:
    """How long something took: `0.4 s`, `75 s`, `12 min`."""
    return f"{seconds:.1f} s" if seconds < 90 else age(seconds)


def local_time(stamp: str, *, timezone: str) -> str:
    """A stored moment in a person's zone: `2026-11-25 02:00:13 IST`."""
    return f"{datetime.fromisoformat(stamp).astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M:%S %Z}"


def saving(*, weight: int, stored: int) -> str:
    """What compression saves: the weight of the rows against their stored bytes."""
    if weight <= 0 or stored >= weight:
        return "no saving by compression"
    return f"{size(stored)} stored for {size(weight)} of rows, {1 - stored / weight:.0%} saved by compression"


def coverage_text(*, tables: tuple[str, ...] | None, days: DayRange | None) -> str:
    """`everything`, or what limits it."""
    limits = [", ".join(tables)] if tables is not None else []
    limits += [f"days {days}"] if days is not None else []
    return "; ".join(limits) or "everything"


def seconds_between(start: str, end: str) -> float:
    """Seconds between two stored moments."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
