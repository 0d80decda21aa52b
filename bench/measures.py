"""What is measured, each against its peers in the same run: a function gives rows of the final table."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import psycopg

from bench.place import DAYS, LAST_DAY, TABLE, Place
from bench.timing import Sample, alternating, cli, peak_memory, run, seconds
from moi_backup.lake.day_stream import DayStream
from moi_backup.model.restore import RestoreRequest
from moi_backup.model.span import plan_spans
from moi_backup.operations.protect import ProtectedTable, read_protected
from moi_backup.operations.restore import restore
from moi_backup.operations.row_stream import layout_of, row_batches
from moi_backup.operations.take_backup import BackupRequest, take_backup
from moi_backup.operations.workspace import Workspace
from moi_backup.postgres.arrow_session import ArrowSession
from moi_backup.postgres.change_scan import scan_days
from moi_backup.postgres.export import WORK_MEM, select_rows
from moi_backup.postgres.session import begin, connect


class Measured(NamedTuple):
    """One line of the result: ours against a peer (or against nothing), and the aim for the ratio (or the value)."""

    what: str
    ours: Sample
    unit: str
    peer: str = ""
    theirs: Sample | None = None
    aim: float | None = None

    @property
    def ratio(self) -> float:
        """Ours by theirs, or ours alone where there is no peer."""
        return self.ours.median / self.theirs.median if self.theirs else self.ours.median

    @property
    def verdict(self) -> str:
        """Whether the aim is met."""
        return "" if self.aim is None else "met" if self.ratio <= self.aim else "missed"


class Round(NamedTuple):
    """Where, on how many rows, and how often."""

    place: Place
    rows: int
    repeat: int


Measure = Callable[[Round], Iterator[Measured]]


def export(of: Round) -> Iterator[Measured]:
    """A full backup into an empty repository, and its reading alone, against COPY and pg_dump of the same table."""
    place = of.place
    table = _protected(place)
    ordered = f"COPY ({select_rows(table.source, None)}) TO STDOUT (FORMAT binary)"
    plain = "COPY public.shopify_import_data TO STDOUT (FORMAT binary)"
    taken = alternating(
        {
            "full": lambda: take_backup(place.workspace(anew=True), BackupRequest(full=True)),
            "read": lambda: _read(place, table),
            "ordered": lambda: _copy(place, ordered),
            "ordered, server only": lambda: _copy(place, ordered.replace("STDOUT", "'/dev/null'")),
            "plain": lambda: _copy(place, plain),
            "pg_dump": lambda: run([place.program("pg_dump"), "-Fc", "-t", str(TABLE), place.url]),
        },
        repeat=of.repeat,
    )
    copied = "the same ordered SELECT, COPY TO STDOUT to /dev/null"
    yield Measured("rows read, canonical and digested", taken["read"], "s", copied, taken["ordered"], 1.25)
    yield Measured(
        "full backup (scan, read, digest, encode, store)", taken["full"], "s", copied, taken["ordered"], 1.25
    )
    yield Measured(
        "full backup",
        taken["full"],
        "s",
        "the same inside the server, COPY TO '/dev/null'",
        taken["ordered, server only"],
    )
    yield Measured("full backup", taken["full"], "s", "plain COPY binary to /dev/null", taken["plain"], 2.0)
    yield Measured("full backup", taken["full"], "s", "pg_dump -Fc", taken["pg_dump"], 0.8)


def size(of: Round) -> Iterator[Measured]:
    """Stored bytes of one full backup against pg_dump's fastest compression."""
    place = of.place
    take_backup(place.workspace(anew=True), BackupRequest(full=True))
    stored = sum(path.stat().st_size for path in (place.folder / "repository").rglob("*") if path.is_file())
    dump = place.folder / "z1.dump"
    run([place.program("pg_dump"), "-Fc", "-Z1", "-t", str(TABLE), "-f", str(dump), place.url])
    theirs = dump.stat().st_size
    dump.unlink()
    yield Measured("repository", _mb(stored), "MB", "pg_dump -Fc -Z1", _mb(theirs), 0.70)


def incremental(of: Round) -> Iterator[Measured]:
    """An incremental backup when nothing changed, against a full one."""
    place = of.place
    workspace = place.workspace(anew=True)
    taken = alternating(
        {
            "full": lambda: take_backup(place.workspace(anew=True), BackupRequest(full=True)),
            "unchanged": lambda: take_backup(workspace, BackupRequest(full=False)),
        },
        repeat=of.repeat,
    )
    yield Measured("incremental backup, nothing changed", taken["unchanged"], "s", "full backup", taken["full"], 0.35)


def whole_restore(of: Round) -> Iterator[Measured]:
    """The table with its indexes into an empty database and proved, against pg_restore, which proves nothing."""
    place = of.place
    workspace = place.workspace(anew=True)
    take_backup(workspace, BackupRequest(full=True))
    dump = place.folder / "table.dump"
    run([place.program("pg_dump"), "-Fc", "-t", str(TABLE), "-f", str(dump), place.url])
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(of.repeat):
        url = place.empty_database("restored")
        ours.append(seconds(lambda url=url: _restored(workspace, url)))
        url = place.empty_database("restored")
        theirs.append(seconds(lambda url=url: run([place.program("pg_restore"), "-j1", "-d", url, str(dump)])))
    dump.unlink()
    peer = "pg_restore -j1"
    yield Measured("restore with indexes and proof", Sample(tuple(ours)), "s", peer, Sample(tuple(theirs)), 1.0)


def one_day(of: Round) -> Iterator[Measured]:
    """One day restored by the CLI into a scratch schema, process start included."""
    place = of.place
    take_backup(place.workspace(anew=True), BackupRequest(full=True))
    day = LAST_DAY.replace(day=15).isoformat()
    command = cli("restore", "latest", "--to", "source", "--table", str(TABLE), "--days", day, "--schema", "scratch")
    taken: list[float] = []
    for _ in range(of.repeat):
        with psycopg.connect(place.url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA IF EXISTS scratch CASCADE")
        taken.append(seconds(lambda: run(command, environment=place.environment)))
    yield Measured(f"one day of {of.rows // DAYS:,} rows restored by the CLI", Sample(tuple(taken)), "s", aim=3.0)


def memory(of: Round) -> Iterator[Measured]:
    """Peak memory of a full backup in a process of its own, with the rows and with twice as many."""
    place = of.place
    place.workspace(anew=True)
    once = peak_memory("backup", "--full", "--quiet", environment=place.environment)
    place.fill(2 * of.rows)
    place.workspace(anew=True)
    twice = peak_memory("backup", "--full", "--quiet", environment=place.environment)
    place.fill(of.rows)
    yield Measured("peak memory of a full backup", Sample((once,)), "MB", aim=400.0)
    yield Measured("with twice the rows", Sample((twice,)), "MB", "with the rows", Sample((once,)), 1.2)


def dagster(of: Round) -> Iterator[Measured]:
    """The full backup job in its Dagster run (start-up of process and instance apart) against the engine alone."""
    place = of.place
    from bench.dagster_job import full_backup_job

    taken = alternating(
        {
            "engine": lambda: take_backup(place.workspace(), BackupRequest(full=True)),
            "job": full_backup_job(place),
        },
        repeat=of.repeat,
    )
    yield Measured("full_backup job in its Dagster run", taken["job"], "s", "the engine alone", taken["engine"], 1.3)


MEASURES: dict[str, Measure] = {
    "export": export,
    "size": size,
    "incremental": incremental,
    "restore": whole_restore,
    "day": one_day,
    "dagster": dagster,
    "memory": memory,
}


def _protected(place: Place) -> ProtectedTable:
    with connect(place.url) as conn:
        begin(conn, lock_timeout_ms=10_000)
        return read_protected(conn, place.workspace().configuration, [TABLE])[0]


def _read(place: Place, table: ProtectedTable) -> None:
    """Everything a backup does with rows but encoding and storing them."""
    with connect(place.url) as conn, ArrowSession(place.url) as session:
        begin(conn, lock_timeout_ms=10_000)
        scan = scan_days(conn, TABLE, only=False, day=table.day)
        session.script(f"SET work_mem = '{WORK_MEM}'; SET jit = off")
        batches = row_batches(session, table.source, select_rows(table.source, None))
        stream = DayStream(batches, layout_of(table.source))
        for span in plan_spans({label: seen.rows for label, seen in scan.items()}):
            for label, count in span.days:
                for _ in stream.parts(label, count):
                    pass
        stream.expect_end()


def _copy(place: Place, statement: str) -> None:
    with psycopg.connect(place.url, autocommit=True) as connection:
        connection.execute(f"SET work_mem = '{WORK_MEM}'; SET jit = off".encode())
        if "STDOUT" not in statement:
            connection.execute(statement.encode())
            return
        with _null() as sink, connection.cursor().copy(statement.encode()) as copy:
            for data in copy:
                sink.write(data)


@contextmanager
def _null() -> Generator[IO[bytes], None, None]:
    with Path("/dev/null").open("wb") as sink:
        yield sink


def _restored(workspace: Workspace, url: str) -> None:
    result = restore(workspace, url, RestoreRequest(backup="latest"))
    if not result.complete:
        raise RuntimeError(f"the restore failed: {result}")


def _mb(size: int) -> Sample:
    return Sample((size / 1e6,))
