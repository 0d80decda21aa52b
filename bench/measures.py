"""What is measured, each against its peers in the same run: a function gives rows of the final table."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import partial

from bench import work
from bench.measured import Measured
from bench.place import DAYS, LAST_DAY, TABLE, Place
from bench.round import Round
from bench.timing import Sample, Side, alternating, cli, peak_memory, run


def export(of: Round) -> Iterator[Measured]:
    """A full backup into an empty repository, and its reading alone, against COPY and pg_dump of the same table."""
    place = of.place
    table = work.protected_table(place)
    ordered = work.ordered_copy(table)
    taken = alternating(
        {
            "full": Side(partial(work.back_up, place), place.empty_repository),
            "read": Side(partial(work.read, place, table)),
            "ordered": Side(partial(work.copy_to_client, place, ordered)),
            "server": Side(partial(work.copy_on_server, place, ordered)),
            "plain": Side(partial(work.copy_to_client, place, work.PLAIN)),
            "pg_dump": Side(partial(work.dump, place)),
        },
        repeat=of.repeat,
    )
    full = "full backup (scan, read, digest, encode, store)"
    ordered_here = "psql: COPY of the same ordered, cast SELECT"
    yield Measured("rows read and digested, not stored", taken["read"], "s", ordered_here, taken["ordered"])
    yield Measured(full, taken["full"], "s", ordered_here, taken["ordered"], 1.25)
    yield Measured("full backup", taken["full"], "s", "the server alone: that COPY TO '/dev/null'", taken["server"])
    yield Measured("full backup", taken["full"], "s", "psql: plain COPY of the table, binary", taken["plain"], 2.0)
    yield Measured("full backup", taken["full"], "s", "pg_dump -Fc", taken["pg_dump"], 0.8)


def size(of: Round) -> Iterator[Measured]:
    """Stored bytes of one full backup against pg_dump's fastest compression."""
    place = of.place
    place.empty_repository()
    work.back_up(place)
    stored = sum(path.stat().st_size for path in place.repository.rglob("*") if path.is_file())
    archive = place.folder / "z1.dump"
    work.dump(place, "-Z1", "-f", str(archive))
    theirs = archive.stat().st_size
    archive.unlink()
    yield Measured("repository", _mb(stored), "MB", "pg_dump -Fc -Z1", _mb(theirs), 0.70)


def incremental(of: Round) -> Iterator[Measured]:
    """An incremental backup when nothing changed, against a full one into an empty repository."""
    place = of.place
    taken = alternating(
        {
            "full": Side(partial(work.back_up, place), place.empty_repository),
            "unchanged": Side(partial(work.back_up, place, full=False), partial(_first_backup, place)),
        },
        repeat=of.repeat,
    )
    yield Measured("incremental backup, nothing changed", taken["unchanged"], "s", "full backup", taken["full"], 0.35)


def whole_restore(of: Round) -> Iterator[Measured]:
    """The table with its indexes into an empty database and proved, against pg_restore, which proves nothing."""
    place = of.place
    place.empty_repository()
    work.back_up(place)
    archive = place.folder / "table.dump"
    work.dump(place, "-f", str(archive))
    load = [place.program("pg_restore"), "-j1", "-d", place.server.url("theirs"), str(archive)]
    parallel = [place.program("pg_restore"), "-j2", "-d", place.server.url("theirs"), str(archive)]
    read_back = partial(work.copy_to_client, place, work.ordered_copy(work.protected_table(place)), database="theirs")
    taken = alternating(
        {
            "ours": Side(
                partial(work.restore_all, place.workspace(), place.server.url("ours")),
                partial(place.empty_database, "ours"),
            ),
            "theirs": Side(partial(run, load), partial(place.empty_database, "theirs")),
            "-j2": Side(partial(run, parallel), partial(place.empty_database, "theirs")),
            "read back": Side(read_back, partial(_loaded, place, load)),
        },
        repeat=of.repeat,
    )
    archive.unlink()
    both = [load + back for load, back in zip(taken["theirs"].values, taken["read back"].values, strict=True)]
    ours = taken["ours"]
    yield Measured("restore with indexes and proof", ours, "s", "pg_restore -j1", taken["theirs"], 1.0)
    yield Measured("the same restore", ours, "s", "pg_restore -j2", taken["-j2"], 1.0)
    yield Measured("the same restore", ours, "s", "pg_restore -j1, then the rows read by COPY", Sample(tuple(both)))


def one_day(of: Round) -> Iterator[Measured]:
    """One day restored by the CLI into a scratch schema, process start included."""
    place = of.place
    place.empty_repository()
    work.back_up(place)
    day = LAST_DAY.replace(day=15).isoformat()
    command = cli("restore", "latest", "--to", "source", "--table", str(TABLE), "--days", day, "--schema", "scratch")
    side = Side(partial(run, command, environment=place.environment), work.dropping_schema(place, "scratch"))
    taken = alternating({"day": side}, repeat=of.repeat)
    yield Measured(f"one day of {of.rows // DAYS:,} rows restored by the CLI", taken["day"], "s", aim=3.0)


def memory(of: Round) -> Iterator[Measured]:
    """Peak memory of a full backup in a process of its own, with the rows and with twice as many."""
    place = of.place
    once = _peaks(of)
    place.fill(2 * of.rows)
    twice = _peaks(of)
    place.fill(of.rows)
    yield Measured("peak memory of a full backup", once, "MB", aim=400.0)
    yield Measured("peak memory with twice the rows", twice, "MB", aim=400.0)
    yield Measured("peak memory with twice the rows", twice, "MB", "with the rows once", once, 1.2)


def dagster(of: Round) -> Iterator[Measured]:
    """The full backup job in its Dagster run against the engine alone, in a process of its own whose start is apart."""
    command = [sys.executable, "-m", "bench.dagster_job", str(of.place.folder), str(of.repeat)]
    found = json.loads(run(command, environment=of.place.environment, discard=False))
    taken = {name: Sample(tuple(values)) for name, values in found.items()}
    alone = "the engine alone"
    yield Measured("full_backup job, nothing new to mark", taken["job"], "s", alone, taken["engine"], 1.3)
    yield Measured(
        f"full_backup job, first of all ({DAYS:,} days to mark)", taken["first job"], "s", alone, taken["first"], 1.3
    )
    yield Measured("start-up apart: imports and definitions", taken["start"], "s")


def _first_backup(place: Place) -> None:
    place.empty_repository()
    work.back_up(place)


def _loaded(place: Place, load: list[str]) -> None:
    place.empty_database("theirs")
    run(load)


def _peaks(of: Round) -> Sample:
    peaks: list[float] = []
    for _ in range(of.repeat):
        of.place.empty_repository()
        peaks.append(peak_memory("backup", "--full", "--quiet", environment=of.place.environment))
    return Sample(tuple(peaks))


def _mb(size: int) -> Sample:
    return Sample((size / 1e6,))
