"""What differs in a table of which one row in a hundred was changed, against reading its rows once in order."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import psycopg

from bench import work
from bench.measured import Measured
from bench.place import TABLE, Place
from bench.round import Round
from bench.timing import Sample, Side, alternating, peak_memory
from moi_backup.model.diff import DiffRequest
from moi_backup.operations.diff import diff

CHANGED = f"UPDATE {TABLE} SET sessions_cart_additions = sessions_cart_additions + 1 WHERE id % 100 = 0"


def changed_rows(of: Round) -> Iterator[Measured]:
    """A backup, an update of every hundredth row (so that every day differs), another backup."""
    place = of.place
    place.empty_repository()
    work.back_up(place)
    _change(place)
    work.back_up(place)
    before, after = sorted(path.name for path in (place.repository / "backups").iterdir())
    ordered = work.ordered_copy(work.protected_table(place))
    taken = alternating(
        {
            "live": Side(partial(_compare, place, before, "live", of.rows)),
            "stored": Side(partial(_compare, place, before, after, of.rows)),
            "equal": Side(partial(_compare, place, after, "live", of.rows, changed=False)),
            "once": Side(partial(work.copy_to_client, place, ordered)),
        },
        repeat=of.repeat,
    )
    peak = peak_memory("diff", before, "live", "--quiet", environment=place.environment)
    place.fill(of.rows)
    peer = "psql: COPY of the ordered, cast SELECT"
    yield Measured("diff, backup against live, 1 % of the rows changed", taken["live"], "s", peer, taken["once"])
    yield Measured("diff, backup against backup, 1 % changed", taken["stored"], "s", peer, taken["once"])
    yield Measured("diff, backup against live, nothing changed", taken["equal"], "s", peer, taken["once"])
    yield Measured("peak memory of a diff against live", Sample((peak,)), "MB", aim=400.0)


def _compare(place: Place, before: str, after: str, rows: int, *, changed: bool = True) -> None:
    result = diff(place.workspace(), DiffRequest(before=before, after=after))
    if not result.complete or sum(table.updated for table in result.tables) != (rows // 100 if changed else 0):
        raise RuntimeError(f"the diff is wrong: {result.notes}")


def _change(place: Place) -> None:
    with psycopg.connect(place.url, autocommit=True) as connection:
        connection.execute(CHANGED.encode())
        connection.execute(f"VACUUM (ANALYZE) {TABLE}".encode())
