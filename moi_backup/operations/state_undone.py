"""The state of a table right after a restore in place: what it replaced, less the rows that went, and those that came.

It is stored nowhere. Every row that went must be found in the backup of what was replaced, as often as it is listed.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from moi_backup.lake.change_list import OtherColumns, read_changes
from moi_backup.lake.row_sets import RowSets, Shape
from moi_backup.model.restore_record import FileReference
from moi_backup.operations.in_place import InPlace, RefusedInPlace
from moi_backup.operations.row_states import ChangedState, StoredState
from moi_backup.repository import layout
from moi_backup.repository.damage import DamagedObject


@contextmanager
def state_undone(
    asked: InPlace, listed: FileReference, stored: StoredState, shape: Shape, *, scratch: Path
) -> Generator[ChangedState]:
    """The state that a restore left, from the state that it replaced and the list of its changes; a context.

    Memory is bounded: only days that changed are read, and what does not fit is spilled to `scratch`. Raises
    DamagedObject when the two do not belong together, RefusedInPlace when the list lacks a column of today.
    """
    with RowSets(replace(shape, has_base=False, summed=()), scratch=scratch / "base") as sets:
        days = _take_changes(asked, listed, sets)
        for label, rows in stored.read(days):
            sets.add("before", rows, day=label)
        sets.finish()
        [(unknown,)] = sets.sql("SELECT count(*) FROM come")
        if unknown:
            raise DamagedObject(
                layout.file_name(listed.digest), "inconsistent", f"lists {unknown} rows that the table did not hold"
            )
        yield ChangedState(stored, sets, days)


def _take_changes(asked: InPlace, listed: FileReference, sets: RowSets) -> frozenset[str]:
    """The rows that came to the one side and those that went to the other, so that these cancel; the days of both."""
    repository, days = asked.stored.repository, set[str]()
    try:
        with repository.open_file(listed.digest, size=listed.size) as path:
            for change, day, rows in read_changes(path, sets.shape.columns, ring=repository.ring):
                sets.add("after" if change == "gone" else "before", rows, day=day)
                days.add(day)
    except OtherColumns as error:
        raise RefusedInPlace(
            asked.target, [f"column {error.column!r} is not in the list of what the restore changed"]
        ) from error
    return frozenset(days)
