"""The first backup in which a row satisfies a condition, or in which none does any more.

Every backup is judged, from the oldest on, and only days that changed are read. Halving would read fewer backups, but
it is right only for what holds for ever once it does; rows come and go.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

import duckdb
import msgspec
import numpy as np
import pyarrow as pa

from moi_backup.lake.conditions import columns_of_condition, condition_sql, refused_condition
from moi_backup.lake.parquet import with_uuids
from moi_backup.lake.sandbox import open_sandbox
from moi_backup.model.table import Column, TableManifest, TableName
from moi_backup.operations.find_rows import RowFinder, Selection
from moi_backup.operations.open_for_reading import open_for_reading
from moi_backup.operations.progress import Progress, Silent
from moi_backup.operations.walk_history import HistoryWalk, PassedOver, Step, Window
from moi_backup.operations.workspace import Workspace

SAMPLES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class BisectRequest:
    """`condition` is a boolean expression in DuckDB's SQL; `absent` asks when no row satisfies it any more.

    `since` and `until` are days in the configured zone on which backups were taken, both included.
    """

    table: TableName
    condition: str
    absent: bool = False
    since: str | None = None
    until: str | None = None
    without_scopes: Collection[str] = ()


class JudgedBackup(msgspec.Struct, frozen=True, kw_only=True):
    """A backup and how many of its rows satisfy the condition."""

    backup: str
    kind: str
    taken_at: str
    reason: str
    rows: int


class SampleRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row by the names of its columns, without its NULLs."""

    row: dict[str, str]


class Bisection(msgspec.Struct, frozen=True, kw_only=True):
    """`first` is the first backup in which a row satisfies the condition (`absent`: none does any more), or None.

    `before` is the one that was looked at before it; None where there is none, or nothing was found. `samples` are
    rows that satisfy it: those of `first`, or with `absent` the last there were. `oldest` and `newest` are the ends of
    what was looked at.
    """

    table: str
    condition: str
    absent: bool
    first: JudgedBackup | None
    before: JudgedBackup | None
    samples: tuple[SampleRow, ...]
    oldest: JudgedBackup
    newest: JudgedBackup
    looked_at: int
    chunks_read: int
    passed_over: tuple[PassedOver, ...]
    notes: tuple[str, ...]


def bisect(workspace: Workspace, request: BisectRequest, *, progress: Progress | None = None) -> Bisection:
    """Look from the oldest complete backup on, until it is found.

    Raises UsageError for what is no condition over the table, and what kept the newest backup from being read when
    none could be.
    """
    listener = progress or Silent()
    window = Window(request.since, request.until, workspace.configuration.source.timezone)
    reading = open_for_reading(workspace, warn=listener.warn)
    with open_sandbox() as connection:
        finder = RowFinder(
            repository=reading.repository,
            table=request.table,
            bind=lambda table: _bound(connection, request.condition, table),
            connection=connection,
            keep=SAMPLES,
            without=request.without_scopes,
        )
        walk = HistoryWalk(reading, finder, window, listener)
        oldest, before, last, is_found = _search(walk, absent=request.absent)
    walk.finish()
    return Bisection(
        table=str(request.table),
        condition=request.condition,
        absent=request.absent,
        first=_judged(last) if is_found else None,
        before=_judged(before) if is_found and before else None,
        samples=_samples((before if request.absent else last) if is_found else None),
        oldest=_judged(oldest),
        newest=_judged(last),
        looked_at=walk.looked_at,
        chunks_read=finder.chunks_read,
        passed_over=walk.not_looked_at(),
        notes=reading.notes(),
    )


class _Search(NamedTuple):
    """The first step, the one before the last, the last, and whether that is the one that was sought."""

    oldest: Step
    before: Step | None
    last: Step
    is_found: bool


def _search(walk: HistoryWalk, *, absent: bool) -> _Search:
    """Walk until it begins (`absent`: ends) to hold in a backup that is asked about."""
    oldest: Step | None = None
    before: Step | None = None
    last: Step | None = None
    for step in walk.steps():
        oldest, before, last = oldest or step, last, step
        held, holds = before is not None and before.found.count > 0, step.found.count > 0
        if step.is_asked and held != holds and held == absent:
            return _Search(oldest, before, step, is_found=True)
    if oldest is None or last is None:
        raise AssertionError("a walk has a step, or raises")
    return _Search(oldest, before, last, is_found=False)


def _bound(connection: Any, text: str, table: TableManifest) -> Selection:
    sql = condition_sql(connection, text, columns=table.columns)
    columns = columns_of_condition(connection, sql, columns=table.columns)
    return Selection(columns, lambda rows: _positions(connection, text, sql, columns, rows))


def _positions(
    connection: Any, text: str, sql: str, columns: tuple[Column, ...], rows: pa.Table
) -> np.ndarray[Any, Any]:
    """Where the condition holds; raises UsageError where a value makes it fail."""
    place = _unused("place", columns)
    numbered = with_uuids(rows.select([column.name for column in columns]), columns)
    numbered = numbered.append_column(place, pa.array(np.arange(rows.num_rows)))
    try:
        found = connection.from_arrow(numbered).filter(sql).project(f'"{place}"').fetchnumpy()[place]
    except duckdb.Error as error:
        raise refused_condition(text, str(error).strip()) from error
    return np.sort(np.asarray(found, dtype=np.int64))


def _unused(name: str, columns: tuple[Column, ...]) -> str:
    while any(column.name.casefold() == name for column in columns):
        name += "_"
    return name


def _judged(step: Step) -> JudgedBackup:
    backup = step.backup
    return JudgedBackup(
        backup=backup.id, kind=backup.kind, taken_at=backup.started_at, reason=backup.reason, rows=step.found.count
    )


def _samples(step: Step | None) -> tuple[SampleRow, ...]:
    if step is None:
        return ()
    rows = (row for part in step.found.parts for row in step.found.found[part].rows)
    return tuple(SampleRow(row=dict(row)) for row, _ in zip(rows, range(SAMPLES), strict=False))
