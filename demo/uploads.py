"""Reading an uploaded export: which platform it is, where its table begins, and its cells as the columns want them."""

from __future__ import annotations

import calendar
import csv
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from urllib.parse import unquote

from moi_backup.errors import UsageError

Clean = Callable[[str], str | None]
_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_abbr)}
_IN_WORDS = re.compile(r"(\w{3})\w* (\d{1,2}), (\d{4})")
_DAY_FIRST = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")
_SIGNS = str.maketrans("", "", "₹$€£, \u00a0")
_LINES_ABOVE = 10


def clean_name(cell: str) -> str:
    """Text without the spaces around it; nothing stays an empty name (a NULL in the upsert key would never match)."""
    return cell.strip()


def clean_utm(cell: str) -> str:
    """A UTM value, decoded where it is URL-encoded."""
    return unquote(cell).strip() if "%" in cell else cell.strip()


def clean_number(cell: str) -> str | None:
    """A number without currency sign and thousands separators; None for nothing (`--` or empty)."""
    number = cell.translate(_SIGNS)
    return None if number in {"", "--"} else number


def clean_rate(cell: str) -> str | None:
    """A rate as a fraction: `1.24%` and `0.0124` are the same."""
    number = clean_number(cell)
    if number is not None and number.endswith("%"):
        return str(Decimal(number[:-1]).scaleb(-2))
    return number


def clean_day(cell: str) -> str:
    """An ISO date from `2025-09-10`, `10/09/2025` (day first, as in India) or `Sep 10, 2025`."""
    if match := _DAY_FIRST.fullmatch(cell):
        day, month, year = (int(part) for part in match.groups())
        return f"{year}-{month:02d}-{day:02d}"
    if match := _IN_WORDS.fullmatch(cell):
        return f"{match[3]}-{_MONTHS[match[1].lower()]:02d}-{int(match[2]):02d}"
    return cell


@dataclass(frozen=True, slots=True)
class Platform:
    """One kind of export: its table, that table's upsert key, and for each header cell its column and cleaning."""

    name: str
    table: str
    key: tuple[str, ...]
    cells: dict[str, tuple[str, Clean]]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that an upload fills."""
        return tuple(column for column, _ in self.cells.values())


PLATFORMS = (
    Platform(
        name="meta",
        table="meta_import_data",
        key=("day", "campaign_name", "ad_set_name", "ad_name"),
        cells={
            "Day": ("day", clean_day),
            "Campaign name": ("campaign_name", clean_name),
            "Ad set name": ("ad_set_name", clean_name),
            "Ad name": ("ad_name", clean_name),
            "Amount spent (INR)": ("amount_spent", clean_number),
            "CTR (link click-through rate)": ("ctr", clean_rate),
            "CPM (cost per 1,000 impressions)": ("cpm", clean_number),
            "Ad Set Delivery": ("ad_set_delivery", clean_name),
        },
    ),
    Platform(
        name="google",
        table="google_import_data",
        key=("day", "campaign"),
        cells={
            "Day": ("day", clean_day),
            "Campaign": ("campaign", clean_name),
            "Cost": ("cost", clean_number),
            "CTR": ("ctr", clean_rate),
            "Avg. CPM": ("cpm", clean_number),
            "Currency code": ("currency_code", clean_name),
            "Campaign status": ("campaign_status", clean_name),
        },
    ),
    Platform(
        name="shopify",
        table="shopify_import_data",
        key=("day", "utm_campaign", "utm_term", "utm_content"),
        cells={
            "Day": ("day", clean_day),
            "UTM campaign": ("utm_campaign", clean_utm),
            "UTM term": ("utm_term", clean_utm),
            "UTM content": ("utm_content", clean_utm),
            "Landing page URL": ("landing_page_url", clean_name),
            "Online store visitors": ("online_store_visitors", clean_number),
            "Sessions that completed checkout": ("sessions_completed_checkout", clean_number),
            "Sessions that reached checkout": ("sessions_reached_checkout", clean_number),
            "Sessions with cart additions": ("sessions_cart_additions", clean_number),
            "Average session duration": ("average_session_duration", clean_number),
            "Pageviews": ("pageviews", clean_number),
        },
    ),
)


def platform_of(path: Path) -> Platform:
    """The platform whose header the file has; raises UsageError when it is none of them."""
    with closing(_lines(path)) as lines:
        return _find_header(path, lines)[0]


def read_rows(path: Path) -> Iterator[list[str | None]]:
    """The cleaned rows of an export in the order of its platform's columns; title and total rows are left out.

    Raises UsageError for a file that has no known header, with the first line it has.
    """
    with closing(_lines(path)) as lines:
        platform, header = _find_header(path, lines)
        wanted = [(header.index(name), clean) for name, (_, clean) in platform.cells.items()]
        day = header.index("Day")
        for line in lines:
            if len(line) == len(header) and line[day] and not line[day].startswith("Total:"):
                yield [clean(line[place]) for place, clean in wanted]


def _lines(path: Path) -> Generator[list[str]]:
    encoding = _encoding(path)
    with path.open(encoding=encoding, newline="") as file:
        yield from csv.reader(file, delimiter="\t" if encoding == "utf-16" else ",")


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(2)
    return "utf-16" if start in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"


def _find_header(path: Path, lines: Iterator[list[str]]) -> tuple[Platform, list[str]]:
    for line in islice(lines, _LINES_ABOVE):
        for platform in PLATFORMS:
            if platform.cells.keys() <= set(line):
                return platform, line
    raise UsageError(
        f"{path.name} is no export of Meta, Google or Shopify: no line near its top is a known header.",
        remedy="Download it again with the columns that the platform's report has by default.",
    )
