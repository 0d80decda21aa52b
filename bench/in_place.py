"""A restore in place of a full table against emptying it and loading a dump, which locks everybody out meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import psycopg

from bench import work
from bench.measured import Measured
from bench.place import TABLE, Place
from bench.round import Round
from bench.timing import Side, alternating, run
from moi_backup.model.restore import RestoreRequest
from moi_backup.operations.restore import restore

LOST = f"TRUNCATE {TABLE}"
CHANGED = f"UPDATE {TABLE} SET sessions_cart_additions = sessions_cart_additions + 1 WHERE id % 100 = 0"


def full_table(of: Round) -> Iterator[Measured]:
    """Everything lost, and one row in a hundred changed; theirs is TRUNCATE and `pg_restore --data-only` both times."""
    place = of.place
    place.empty_repository()
    work.back_up(place)
    archive = place.folder / "table.dump"
    work.dump(place, "-f", str(archive))
    load = [place.program("pg_restore"), "--data-only", "-d", place.url, str(archive)]
    taken = alternating(
        {
            "lost": Side(partial(_in_place, place), partial(_execute, place, LOST)),
            "theirs": Side(partial(_emptied_and_loaded, place, load)),
            "changed": Side(partial(_in_place, place), partial(_execute, place, CHANGED)),
            "nothing": Side(partial(_in_place, place)),
        },
        repeat=of.repeat,
    )
    archive.unlink()
    peer = "TRUNCATE and pg_restore --data-only"
    yield Measured("restore in place, every row lost", taken["lost"], "s", peer, taken["theirs"])
    yield Measured("restore in place, 1 % of the rows changed", taken["changed"], "s", peer, taken["theirs"])
    yield Measured("restore in place, nothing to do", taken["nothing"], "s", peer, taken["theirs"])


def _in_place(place: Place) -> None:
    request = RestoreRequest(backup="latest-full", in_place=True, on_conflict="replace", reason="a measurement")
    result = restore(place.workspace(), place.url, request)
    if not result.complete:
        raise RuntimeError(f"the restore failed: {result}")


def _emptied_and_loaded(place: Place, load: list[str]) -> None:
    _execute(place, LOST)
    run(load)


def _execute(place: Place, statement: str) -> None:
    with psycopg.connect(place.url, autocommit=True) as connection:
        connection.execute(statement.encode())
