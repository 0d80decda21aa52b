"""CSV exports that look like the real ones of Meta Ads Manager, Google Ads and Shopify: one file a month and platform.

The same seed, days and number of rows give the same bytes. Rows are written as they are made, whatever their number.
"""

from __future__ import annotations

import calendar
import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any

from demo.rows import Style, google_rows, meta_rows, shopify_rows

META_HEADER = [
    *("Campaign name", "Ad set name", "Ad name", "Day", "Amount spent (INR)", "CPM (cost per 1,000 impressions)"),
    *("CTR (link click-through rate)", "Ad Set Delivery", "Reporting starts", "Reporting ends"),
]
GOOGLE_HEADER = ["Day", "Campaign", "Campaign status", "Currency code", "Cost", "Avg. CPM", "CTR"]
SHOPIFY_HEADER = [
    *("Day", "UTM campaign", "UTM term", "UTM content", "Landing page URL", "Online store visitors"),
    *("Sessions that completed checkout", "Sessions that reached checkout", "Sessions with cart additions"),
    *("Average session duration", "Pageviews"),
]
_HEADERS = {"meta": META_HEADER, "google": GOOGLE_HEADER, "shopify": SHOPIFY_HEADER}
_ROWS = {"meta": meta_rows, "google": google_rows, "shopify": shopify_rows}
_SHARES = {"meta": 20, "google": 10, "shopify": 70}  # percent of all rows
_DATES: dict[str, Callable[[date], str]] = {
    "iso": date.isoformat,
    "day first": lambda day: f"{day.day:02d}/{day.month:02d}/{day.year}",
    "words": lambda day: f"{calendar.month_abbr[day.month]} {day.day}, {day.year}",
}


@dataclass(frozen=True, slots=True)
class Export:
    """One written file and what it promises: its data rows and the sum of its money (INR) or, for Shopify, visitors."""

    platform: str
    path: Path
    rows: int
    first_day: date
    last_day: date
    total: Decimal


def write_exports(
    folder: Path, *, last_day: date, rows: int = 40_000, months: int = 14, seed: int = 2025
) -> list[Export]:
    """Write the exports of `months` months that end with `last_day` into `folder`; `rows` data rows in all files."""
    folder.mkdir(parents=True, exist_ok=True)
    first_day = months_before(last_day, months) + timedelta(days=1)
    days = [first_day + timedelta(days=n) for n in range((last_day - first_day).days + 1)]
    exports: list[Export] = []
    for platform, wanted in _split(rows).items():
        counts = spread(wanted, days, random=Random(f"{seed}/{platform}"))
        for number, (month, group) in enumerate(groupby(days, key=lambda day: f"{day:%Y-%m}")):
            part = {day: counts[day] for day in group if counts[day]}
            if part:
                writer = _Writer(platform, style_of(number), max(counts.values()), Random(f"{seed}/{platform}/{month}"))
                exports.append(writer.write(folder / f"{platform}-{month}.csv", part))
    return exports


def months_before(day: date, months: int) -> date:
    """The same day of the month `months` earlier, or that month's last day."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def spread(rows: int, days: list[date], *, random: Random) -> dict[date, int]:
    """Rows for each day, `rows` in sum: growing over time, more at weekends, uneven."""
    weights = [
        (1 + n / len(days)) * (1.3 if day.weekday() >= 5 else 1.0) * random.uniform(0.8, 1.2)
        for n, day in enumerate(days)
    ]
    counts: dict[date, int] = {}
    passed, given = 0.0, 0
    for day, weight in zip(days, weights, strict=True):
        passed += weight
        until = rows if day == days[-1] else int(rows * passed / sum(weights))
        counts[day], given = until - given, until
    return counts


def style_of(number: int) -> Style:
    """How the `number`-th file of a platform is written; every way occurs in any six files that follow each other."""
    return Style(
        dates=list(_DATES)[number % 3],
        percent=number % 2 == 0,
        currency="₹" if number % 3 == 1 else "",
        encoded_utm=number % 2 == 1,
        utf16=number % 3 == 2,
    )


def _split(rows: int) -> dict[str, int]:
    """Rows for each platform, `rows` in sum."""
    parts = {platform: rows * share // 100 for platform, share in _SHARES.items()}
    parts["shopify"] += rows - sum(parts.values())
    return parts


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes one file of one platform; `most` is the largest number of rows of any day (names must suffice for it)."""

    platform: str
    style: Style
    most: int
    random: Random

    def write(self, path: Path, counts: dict[date, int]) -> Export:
        """Write the file for the days of `counts`."""
        first, last = min(counts), max(counts)
        # Google's UTF-16 download is separated by tabs.
        wide = self.platform == "google" and self.style.utf16
        with path.open("w", encoding="utf-16" if wide else self._encoding(), newline="") as file:
            out = csv.writer(file, delimiter="\t" if wide else ",")
            out.writerows(self._above(first, last))
            out.writerow(_HEADERS[self.platform])
            total = 0
            for cells, amount in self._rows(counts):
                out.writerow(cells)
                total += amount
            out.writerows(self._below(total, first, last))
        value = Decimal(total) if self.platform == "shopify" else Decimal(total).scaleb(-2)
        return Export(self.platform, path, sum(counts.values()), first, last, value)

    def _encoding(self) -> str:
        return "utf-8-sig" if self.platform == "meta" else "utf-8"

    def _rows(self, counts: dict[date, int]) -> Iterator[tuple[list[str], int]]:
        rows: Callable[..., Any] = _ROWS[self.platform]
        for day, count in counts.items():
            text = _DATES[self.style.dates](day)
            yield from rows(text, count, most=self.most, style=self.style, random=self.random)

    def _above(self, first: date, last: date) -> list[list[str]]:
        if self.platform != "google":
            return []
        words = _DATES["words"]
        return [["Campaign report"], [f"{words(first)} - {words(last)}"]]

    def _below(self, total: int, first: date, last: date) -> list[list[str]]:
        money = f"{total / 100:,.2f}"
        if self.platform == "google":
            return [["Total: Account", "--", "--", "INR", f"{self.style.currency}{money}", "--", "--"]]
        if self.platform == "meta":
            starts, ends = (_DATES[self.style.dates](day) for day in (first, last))
            return [["", "", "", "", money, "", "", "", starts, ends]]
        return []
