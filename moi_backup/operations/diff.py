"""What differs from one state of the protected tables to another: two backups, or a backup and the live tables.

Days whose digests agree are the same and are not read from the repository. Nothing is written but temporary files.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from moi_backup.errors import UsageError
from moi_backup.model.day import DayRange
from moi_backup.model.diff import LIVE, DiffRequest, DiffResult, RowChange, TableDiff
from moi_backup.model.table import TableName
from moi_backup.operations.diff_live import LiveSide, live_side
from moi_backup.operations.diff_stored import StoredSide
from moi_backup.operations.diff_table import Side, TableComparison, Told
from moi_backup.operations.open_for_reading import open_for_reading
from moi_backup.operations.progress import Progress, Silent
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.backups import resolve_backup


def diff(
    workspace: Workspace, request: DiffRequest, *, told: Told | None = None, progress: Progress | None = None
) -> DiffResult:
    """Compare table by table; one that cannot be compared is in the answer, the others go on.

    `told` gets every table when it is compared, with its rows, which are valid during the call. Raises UsageError for a
    backup, table or range of days that cannot be compared at all, SourceError when the database does not answer.
    """
    progress = progress or Silent()
    _refuse_two_lives(request)
    reading = open_for_reading(workspace, warn=progress.warn)
    stored = {
        name: StoredSide(reading.repository, resolve_backup(reading.repository, reading.chain, name))
        for name in dict.fromkeys((request.before, request.after))
        if name != LIVE
    }
    days = _days(request.days, stored.values())
    with ExitStack() as held:
        wanted = {table for side in stored.values() for table in side.names} | set(request.tables or ())
        live = held.enter_context(live_side(workspace, wanted, progress)) if LIVE in _names(request) else None
        before, after = (_side(name, stored, live) for name in _names(request))
        names, notes = _tables(request, before, after)
        scratch = Path(held.enter_context(_scratch(workspace)))
        comparison = TableComparison(
            before, after, days, request.without_scopes, scratch, progress, told or _nobody_listens
        )
        tables = tuple(comparison.compare(name) for name in names)
    if days != request.days:
        notes = (f"Only the days {days} are compared, for a backup covers no others.", *notes)
    return DiffResult(
        before=before.state, after=after.state, days=days, tables=tables, notes=(*notes, *reading.notes())
    )


def _names(request: DiffRequest) -> tuple[str, str]:
    return request.before, request.after


def _side(name: str, stored: dict[str, StoredSide], live: LiveSide | None) -> Side:
    return live if live is not None and name == LIVE else stored[name]


def _refuse_two_lives(request: DiffRequest) -> None:
    if request.before == request.after == LIVE:
        raise UsageError("The live tables cannot be compared with themselves.", remedy="Name a backup on one side.")


def _days(asked: DayRange | None, stored: Iterable[StoredSide]) -> DayRange | None:
    """The days that were asked for and that every backup covers; raises UsageError when there is none."""
    limits = [asked, *(side.manifest.coverage.days for side in stored)]
    ranges = [days for days in limits if days is not None]
    if not ranges:
        return None
    first, last = max(days.first for days in ranges), min(days.last for days in ranges)
    if first > last:
        raise UsageError(
            f"There is no day to compare: {', '.join(str(days) for days in ranges)} have none in common.",
            meaning="A backup that covers certain days says nothing of others.",
            remedy="Name backups that cover the days, or leave out --days.",
        )
    return DayRange(first=first, last=last)


def _tables(request: DiffRequest, before: Side, after: Side) -> tuple[list[TableName], tuple[str, ...]]:
    """The tables to compare, and notes on those that a backup does not cover; raises UsageError for an unknown one."""
    everything = before.names | after.names if request.tables is None else frozenset(request.tables)
    unknown = sorted(everything - before.names - after.names)
    if unknown:
        raise UsageError(
            f"Neither side has the table {', '.join(map(str, unknown))}.",
            remedy="moi-backup show BACKUP lists the tables of a backup.",
        )
    sides = [side for side in (before, after) if isinstance(side, StoredSide)]
    uncovered = {table: side for table in sorted(everything) for side in sides if not side.covers(table)}
    if request.tables is not None and uncovered:
        raise UsageError(
            "; ".join(f"{table} is not covered by {side.manifest.id}" for table, side in uncovered.items()) + ".",
            meaning="That backup is limited to other tables and says nothing of it.",
            remedy="Name a backup that covers the table (moi-backup backups shows what each covers).",
        )
    notes = tuple(
        f"{table} is not covered by {side.manifest.id}, and not compared." for table, side in uncovered.items()
    )
    return [table for table in sorted(everything) if table not in uncovered], notes


def _scratch(workspace: Workspace) -> AbstractContextManager[str]:
    """A folder for what does not fit into memory, removed at the end."""
    place = workspace.settings.state.path / "scratch"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="diff-", dir=place)


def _nobody_listens(_table: TableDiff, _rows: Iterator[RowChange]) -> None:
    """Nobody wants the tables before the end."""
