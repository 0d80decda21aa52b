"""Moments as people write them: `2026-11-20 14:03`, with seconds and an offset where they matter."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d(:?\d\d)?)?")


def looks_like_moment(text: str) -> bool:
    """Whether a text can be meant as a moment."""
    return _MOMENT.fullmatch(text) is not None


def parse_moment(text: str, *, timezone: str) -> datetime | None:
    """The moment, in `timezone` where the text has no offset; None when it is no moment."""
    if not looks_like_moment(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=ZoneInfo(timezone))
