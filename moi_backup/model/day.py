"""Days as the stored format names them.

A day is the label of a Postgres `date` in the day column: ISO 8601 with astronomical years (`2025-09-14`,
`-0043-03-15`, `12025-01-01`), `-infinity`, `infinity`, or `undated` for rows without a day. Postgres dates reach from
4713 BC to 5874897 AD, far past `datetime.date`; the civil-calendar arithmetic is Howard Hinnant's `days_from_civil`
(proleptic Gregorian, as in Postgres).
"""

from __future__ import annotations

import re
from datetime import date

import msgspec

from moi_backup.errors import UsageError

UNDATED = "undated"
INFINITY = "infinity"
MINUS_INFINITY = "-infinity"
DATE32_INFINITY = 2**31 - 1
DATE32_MINUS_INFINITY = -(2**31) + 1  # as DuckDB has it
_LABEL = re.compile(r"(-?[0-9]{4,})-([0-9]{2})-([0-9]{2})")


def label_of(days: int | None) -> str:
    """The label of a date32 value (days since 1970-01-01; the infinities are DuckDB's: 2^31-1 and -(2^31-1).

    None is undated).
    """
    if days is None:
        return UNDATED
    if days >= DATE32_INFINITY:
        return INFINITY
    if days <= DATE32_MINUS_INFINITY:
        return MINUS_INFINITY
    shifted = days + 719468
    era, of_era = divmod(shifted, 146097)
    year_of_era = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * of_year + 2) // 153
    day = of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    year = year_of_era + era * 400 + (month <= 2)
    return f"{'-' if year < 0 else ''}{abs(year):04d}-{month:02d}-{day:02d}"


def number_of(label: str) -> int | None:
    """The date32 value of a label; None for undated. Inverse of `label_of`."""
    if label == UNDATED:
        return None
    if label == INFINITY:
        return DATE32_INFINITY
    if label == MINUS_INFINITY:
        return DATE32_MINUS_INFINITY
    match = _LABEL.fullmatch(label)
    if match is None:
        raise ValueError(f"not a day: {label!r}")
    year, month, day = (int(part) for part in match.groups())
    if not (1 <= month <= 12 and 1 <= day <= _days_in(year, month)):
        raise ValueError(f"not a day: {label!r}")
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + of_year
    return era * 146097 + of_era - 719468


def _days_in(year: int, month: int) -> int:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 29 if month == 2 and leap else (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]


def month_of(label: str) -> str:
    """The group of chunk lists a day belongs to: its month `2025-09`, or the label itself for days that have none."""
    return label if label in (UNDATED, INFINITY, MINUS_INFINITY) else label.rsplit("-", 1)[0]


def order_of(label: str) -> tuple[bool, int]:
    """Sort key: -infinity, dates, infinity, undated."""
    number = number_of(label)
    return (number is None, number or 0)


class DayRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Days from `first` to `last`, both inclusive, as ISO dates."""

    first: str
    last: str

    def __contains__(self, label: str) -> bool:
        """Whether a day lies in the range; undated and infinite days never do."""
        number = number_of(label)
        if number is None or label in (INFINITY, MINUS_INFINITY):
            return False
        return (number_of(self.first) or 0) <= number <= (number_of(self.last) or 0)

    def __str__(self) -> str:
        return self.first if self.first == self.last else f"{self.first}..{self.last}"


def parse_day_range(text: str) -> DayRange:
    """`2025-09-14` or `2025-09-01..2025-09-30` (inclusive); raises UsageError for anything else."""
    first, separator, last = text.partition("..")
    last = last if separator else first
    try:
        days = DayRange(first=date.fromisoformat(first).isoformat(), last=date.fromisoformat(last).isoformat())
    except ValueError as error:
        raise UsageError(
            f"{text!r} is not a day or a range of days ({error}).",
            remedy="Give one day as 2025-09-14 or a range as 2025-09-01..2025-09-30; both ends are included.",
        ) from error
    if days.first > days.last:
        raise UsageError(f"The range {text} ends before it begins.", remedy=f"Did you mean {last}..{first}?")
    return days
