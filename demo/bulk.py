"""Many rows at once, made by the server itself: for benchmarks, where reading exports would take the time."""

from __future__ import annotations

import math
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg

from demo import names

STATEMENT = Path(__file__).with_name("bulk.sql")


def fill_shopify(connection: psycopg.Connection[Any], *, rows: int, days: int, last_day: date) -> int:
    """Insert `rows` rows into shopify_import_data, spread evenly over the `days` days that end with `last_day`.

    The table must have no rows of those days made by this function before: keys repeat, and Postgres then refuses.
    Gives the number of inserted rows.
    """
    with connection.transaction():
        return connection.execute(
            STATEMENT.read_bytes(),
            {
                "rows": rows,
                "per_day": math.ceil(rows / days),
                "first_day": last_day - timedelta(days=days - 1),
                "campaigns": list(names.UTM_CAMPAIGNS),
                "terms": list(names.UTM_TERMS),
                "pages": list(names.PAGES),
            },
        ).rowcount
