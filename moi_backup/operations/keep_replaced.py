"""Keep what a restore in place replaces: a backup of the rows before it, and a file that lists every changed row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from moi_backup.lake.arrow_types import arrow_type
from moi_backup.lake.change_list import change_columns
from moi_backup.lake.left_values import LeftValues
from moi_backup.lake.parquet import ChunkWriter
from moi_backup.lake.untyped import arrow
from moi_backup.model.restore_record import FileReference
from moi_backup.model.table import Column
from moi_backup.operations.decide_in_place import Decided
from moi_backup.operations.progress import Progress, Within
from moi_backup.operations.store_undo import UndoRequest, store_undo
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.leases import Lease


class Kept(NamedTuple):
    """The id of the backup, and the file as the repository holds it."""

    undo: str
    listed: FileReference | None


@dataclass(frozen=True, slots=True)
class KeepReplaced:
    """Keeps for the restore with the id `restore`, under the writer's lease of the configured repository."""

    workspace: Workspace
    lease: Lease
    url: str
    restore: str
    reason: str
    progress: Progress

    def keep(self, decided: Decided, scratch: Path) -> Kept:
        """Store both; other sessions do not see the changes yet, and nobody but the restore can write to the table."""
        path = scratch / "changes.parquet"
        write_changes(path, decided)
        request = UndoRequest(
            target=decided.asked.target,
            like=decided.table.manifest,
            days=decided.asked.days,
            restore=self.restore,
            reason=self.reason,
            changes=path,
            transaction=int(decided.session.rows("SELECT pg_catalog.txid_current()")[0][0]),
        )
        manifest = store_undo(
            self.workspace, self.lease, self.url, request, progress=Within(self.progress, what="kept for an undo")
        )
        path.unlink()
        listed = [FileReference(str(file["digest"]), int(file["size"])) for file in manifest.files]
        return Kept(manifest.id, listed[0] if listed else None)


def write_changes(path: Path, decided: Decided) -> None:
    """The columns of the table as a chunk has them, what became of each row, and its day (`lake.change_list`).

    Columns of the backup that are not written stand after the table's, and are NULL but for rows of the backup.
    """
    shape, left, ring = decided.decision.sets.shape, decided.table.plan.left, decided.live.ring
    names = [column.name for column in shape.columns]
    change, label = change_columns([*names, *(column.name for column in left)])
    day = decided.table.manifest.day
    columns = (*shape.columns, *left, change, label)
    writer = ChunkWriter(path, columns=columns, day_column=None if day is None else day.column, ring=ring)
    for what, tables in _changes(decided):
        for table in tables:
            kinds = arrow.repeat(arrow.scalar(what, pa.string()), table.num_rows)
            more = table.column_names[len(names) + 1 :]
            rows = _with_columns(table.rename_columns([*names, label.name, *more]), left)
            writer.write(rows.append_column(change.name, kinds).select([column.name for column in columns]))
    writer.close()


def _changes(decided: Decided) -> Iterator[tuple[str, Iterator[pa.Table]]]:
    decision = decided.decision
    values = _left_values(decided)
    yield "gone", decision.taken("gone")
    yield "come", values.written() if values else decision.taken("come")
    yield "conflict_live", decision.conflicts("gone")
    yield "conflict_backup", values.conflicts() if values else decision.conflicts("come")
    if decided.renumbered:
        yield "renumbered", decision.unlike()


def _left_values(decided: Decided) -> LeftValues | None:
    """What the backup has in columns that are not written; None where it has no such column."""
    if not decided.table.plan.left:
        return None
    values, stored = LeftValues(decided.decision.sets, decided.table.plan.left), decided.stored
    values.add(stored.stored.rows_of(stored.chunks, values.days))
    return values


def _with_columns(rows: pa.Table, columns: Sequence[Column]) -> pa.Table:
    """The rows with NULLs in those of the columns that they lack."""
    for column in columns:
        if column.name not in rows.column_names:
            kind = arrow_type(column.arrow)
            rows = rows.append_column(pa.field(column.name, kind), arrow.nulls(rows.num_rows, kind))
    return rows
