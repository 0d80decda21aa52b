"""Which backups changed a row: every change of the rows with a key, and between which two backups it happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial

import msgspec

from moi_backup.errors import UsageError
from moi_backup.lake.key_values import KeyValue, key_value, positions
from moi_backup.lake.sandbox import open_sandbox
from moi_backup.model.day import UNDATED, label_of
from moi_backup.model.table import Column, TableManifest, TableName
from moi_backup.operations.find_rows import FoundRows, RowFinder, Selection
from moi_backup.operations.open_for_reading import open_for_reading
from moi_backup.operations.progress import Progress, Silent
from moi_backup.operations.row_changes import RowChange, present, row_changes
from moi_backup.operations.walk_history import HistoryWalk, PassedOver, Step, Window
from moi_backup.operations.workspace import Workspace

MAXIMUM_ROWS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BlameRequest:
    """`keys` are texts `COLUMN=VALUE`, `null_keys` columns that must be NULL; a row has to fit them all.

    `since` and `until` are days in the configured zone on which backups were taken, both included.
    """

    table: TableName
    keys: Sequence[str]
    null_keys: Sequence[str] = ()
    since: str | None = None
    until: str | None = None
    without_scopes: Collection[str] = ()


class BlamedBackup(msgspec.Struct, frozen=True, kw_only=True):
    """A backup in which the rows are others than in `after`, the one before; None is the oldest that was looked at.

    What changed did so after the snapshot of `after` and before that of this one.
    """

    backup: str
    kind: str
    taken_at: str
    reason: str
    after: str | None
    after_taken_at: str | None
    changes: tuple[RowChange, ...]


class Blame(msgspec.Struct, frozen=True, kw_only=True):
    """Every change of the rows with a key, the oldest first. `key` maps columns to the asked values as written.

    `looked_at` backups could be read, from `oldest` to `newest`; `rows` is how many rows the newest of them has.
    """

    table: str
    key: dict[str, str | None]
    looked_at: int
    chunks_read: int
    oldest: str
    newest: str
    rows: int
    changed: tuple[BlamedBackup, ...]
    passed_over: tuple[PassedOver, ...]
    notes: tuple[str, ...]


def blame(workspace: Workspace, request: BlameRequest, *, progress: Progress | None = None) -> Blame:
    """Every change of these rows between complete backups.

    Raises UsageError for a key that no backup knows and one that more than 20,000 rows have, and what kept the newest
    backup from being read when none could be.
    """
    listener = progress or Silent()
    window = Window(request.since, request.until, workspace.configuration.source.timezone)
    reading = open_for_reading(workspace, warn=listener.warn)
    with open_sandbox() as connection:
        finder = RowFinder(
            repository=reading.repository,
            table=request.table,
            bind=partial(_bound, request),
            connection=connection,
            keep=MAXIMUM_ROWS,
            at_most=MAXIMUM_ROWS,
            without=request.without_scopes,
        )
        walk = HistoryWalk(reading, finder, window, listener)
        steps, changed = _changed(walk)
    walk.finish()
    return Blame(
        table=str(request.table),
        key={part.column.name: text for part, text in _key(request, steps.last.found.table)},
        looked_at=walk.looked_at,
        chunks_read=finder.chunks_read,
        oldest=steps.first.backup.id,
        newest=steps.last.backup.id,
        rows=steps.last.found.count,
        changed=changed,
        passed_over=walk.not_looked_at(),
        notes=reading.notes(),
    )


@dataclass(frozen=True, slots=True)
class _Ends:
    first: Step
    last: Step


def _changed(walk: HistoryWalk) -> tuple[_Ends, tuple[BlamedBackup, ...]]:
    changed: list[BlamedBackup] = []
    first: Step | None = None
    before: Step | None = None
    for step in walk.steps():
        if changes := _changes(before.found if before else None, step.found):
            changed.append(_blamed(before, step, changes))
        first, before = first or step, step
    if first is None or before is None:
        raise AssertionError("a walk has a step, or raises")
    return _Ends(first, before), tuple(changed)


def _changes(before: FoundRows | None, after: FoundRows) -> tuple[RowChange, ...]:
    """What changed; only days that are not the same are compared."""
    if before is None:
        return present(after.rows())
    old, new = Counter(before.parts), Counter(after.parts)
    gone, came = before.rows((old - new).elements()), after.rows((new - old).elements())
    return row_changes(gone, came, key=after.table.key)


def _blamed(before: Step | None, step: Step, changes: tuple[RowChange, ...]) -> BlamedBackup:
    return BlamedBackup(
        backup=step.backup.id,
        kind=step.backup.kind,
        taken_at=step.backup.started_at,
        reason=step.backup.reason,
        after=before.backup.id if before else None,
        after_taken_at=before.backup.started_at if before else None,
        changes=changes,
    )


def _bound(request: BlameRequest, table: TableManifest) -> Selection:
    """The key in the types of the table; raises UsageError."""
    key = [value for value, _ in _key(request, table)]
    columns = tuple(part.column for part in key)
    day = next((part for part in key if _cuts_days(part.column, table)), None)
    find = partial(positions, key=key)
    return Selection(columns, find) if day is None else Selection(columns, find, partial(_is_day, _label(day)))


def _key(request: BlameRequest, table: TableManifest) -> list[tuple[KeyValue, str | None]]:
    """Each column of the key with its value, and the text that was written for it."""
    if not request.keys and not request.null_keys:
        raise UsageError("No key was given.", meaning="Which rows are meant?", remedy=_suggestion(table))
    named = [_named(text, table) for text in request.keys]
    named += [(_column(name, table), None) for name in request.null_keys]
    twice = [column.name for column, count in Counter(column for column, _ in named).items() if count > 1]
    if twice:
        raise UsageError(f"The key names column {twice[0]} twice.", remedy="Give each column one value.")
    return [(key_value(column, text), text) for column, text in named]


def _named(text: str, table: TableManifest) -> tuple[Column, str]:
    """The column and the value of `COLUMN=VALUE`: the longest name that is a column, for names may hold a `=`."""
    found = [column for column in table.columns if text.startswith(f"{column.name}=")]
    if not found:
        name, equals, _ = text.partition("=")
        if not equals:
            raise UsageError(f"--key {text!r} is not COLUMN=VALUE.", remedy=_suggestion(table))
        _column(name, table)
    column = max(found, key=lambda column: len(column.name))
    return column, text[len(column.name) + 1 :]


def _column(name: str, table: TableManifest) -> Column:
    found = next((column for column in table.columns if column.name == name), None)
    if found is None:
        near = get_close_matches(name, [column.name for column in table.columns], n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(f"Table {table.table} has no column {name!r}.", remedy=f"{_suggestion(table)}{hint}")
    return found


def _suggestion(table: TableManifest) -> str:
    """How the rows of a table are named best: by its merge key."""
    key = table.key or table.order_by[:1]
    if not key:
        return "Name rows by --key COLUMN=VALUE."
    what = "the key of the table" if table.key else "for example"
    return f"Name rows by {what}: {' '.join(f'--key {_shell(name)}' for name in key)}."


def _shell(name: str) -> str:
    return f"{name}=VALUE" if name.isidentifier() else f"'{name}=VALUE'"


def _cuts_days(column: Column, table: TableManifest) -> bool:
    return table.day is not None and table.day.kind == "date" and table.day.column == column.name


def _label(day: KeyValue) -> str:
    return UNDATED if day.value is None else label_of(day.value.cast("int32").as_py())


def _is_day(wanted: str, label: str) -> bool:
    return label == wanted
