"""The rows of one day for each platform, as cells of its export: seeded, unique by the table's upsert key.

A row draws one 64-bit number and cuts its measures out of it, so that millions of rows take seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from urllib.parse import quote

from demo import names

Row = tuple[list[str], int]
"""The cells of one row, and its part of the file's total (paise, or visitors for Shopify)."""


@dataclass(frozen=True, slots=True)
class Style:
    """How one export file writes what it holds; the same account downloads in several ways over a year."""

    dates: str
    percent: bool
    currency: str
    encoded_utm: bool
    utf16: bool


def meta_rows(day: str, count: int, *, most: int, style: Style, random: Random) -> Iterator[Row]:
    """Cells: campaign, ad set, ad, day, spent, CPM, CTR, delivery, starts, ends. Without spend both rates are empty."""
    pools = _pools([names.META_CAMPAIGNS, names.AD_SETS, names.ADS], most)
    for campaign, ad_set, ad in _combinations(pools, count, random):
        drawn = random.getrandbits(64)
        paise = 0 if drawn & 31 == 0 else _skewed(drawn >> 5) * 37
        rates = [_money(4000 + (drawn >> 30) % 52_000), _rate(drawn >> 46, style)] if paise else ["", ""]
        delivery = names.DELIVERIES[(drawn >> 60) & 3]
        yield [campaign, ad_set, ad, day, _money(paise), *rates, delivery, day, day], paise


def google_rows(day: str, count: int, *, most: int, style: Style, random: Random) -> Iterator[Row]:
    """Cells: day, campaign, status, currency, cost, CPM, CTR. Without cost both rates are `--`."""
    pool = names.enough(names.GOOGLE_CAMPAIGNS, 2 * most)
    for campaign in random.sample(pool, count):
        drawn = random.getrandbits(64)
        paise = 0 if drawn & 15 == 0 else _skewed(drawn >> 5) * 53
        rates = [_money(3000 + (drawn >> 30) % 90_000), _rate(drawn >> 46, style)] if paise else ["--", "--"]
        status = names.GOOGLE_STATUSES[(drawn >> 60) % 5]
        yield [day, campaign, status, "INR", f"{style.currency}{_money(paise)}", *rates], paise


def shopify_rows(day: str, count: int, *, most: int, style: Style, random: Random) -> Iterator[Row]:
    """Cells: day, UTM campaign, term, content, landing page, visitors, checkouts, reached, carts, duration, views."""
    pools = _pools([names.UTM_CAMPAIGNS, names.UTM_TERMS, names.UTM_CONTENTS], most)
    if style.encoded_utm:
        pools = [[quote(name, safe="") for name in pool] for pool in pools]
    for utm in _combinations(pools, count, random):
        drawn = random.getrandbits(64)
        visitors = 1 + (_skewed(drawn) >> 8)
        carts = visitors * (drawn >> 16 & 63) >> 8
        reached = carts * (drawn >> 22 & 127) >> 7
        completed = reached * (drawn >> 29 & 127) >> 7
        seconds = f"{(drawn >> 36) % 90_000 / 100:.2f}"
        page = names.PAGES[(drawn >> 53) % 7]
        views = visitors + (visitors * (drawn >> 56) >> 5)
        counts = [f"{visitors:,}", str(completed), str(reached), str(carts), seconds, f"{views:,}"]
        yield [day, *utm, page, *counts], visitors


def _pools(names_of_parts: list[tuple[str, ...]], most: int) -> list[list[str]]:
    """Lists of names with at least twice `most` combinations; the last part grows, as ads do."""
    *firsts, last = names_of_parts
    wanted = math.ceil(2 * most / math.prod(len(part) for part in firsts))
    return [*(list(part) for part in firsts), names.enough(last, wanted)]


def _combinations(pools: list[list[str]], count: int, random: Random) -> Iterator[tuple[str, str, str]]:
    """`count` different combinations of one name of each of three pools."""
    one, two, three = pools
    first, second = len(one), len(one) * len(two)
    for number in random.sample(range(second * len(three)), count):
        yield one[number % first], two[number // first % len(two)], three[number // second]


def _skewed(drawn: int) -> int:
    """A number below 65,536 that is small more often than large (a square), as spend and visits are."""
    low = drawn & 0xFFFF
    return low * low >> 16


def _money(paise: int) -> str:
    return f"{paise / 100:,.2f}"


def _rate(drawn: int, style: Style) -> str:
    """A click-through rate below 8 %, as `1.24%` or as `0.0124`."""
    basis_points = drawn % 800
    return f"{basis_points / 100:.2f}%" if style.percent else f"{basis_points / 10_000:.4f}"
