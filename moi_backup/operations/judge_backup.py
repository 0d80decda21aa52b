"""Judge a table of a backup: is it complete, are its required fields filled, can its objects be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from moi_backup.errors import Damaged, StorageError
from moi_backup.model.backup import BackupManifest
from moi_backup.model.table import Chunk, TableName
from moi_backup.model.verdict import Verdict
from moi_backup.operations.required_fields import required_fields_filled
from moi_backup.operations.stored_table import StoredTable, open_table
from moi_backup.repository import layout
from moi_backup.repository.backups import is_recovery_point, read_backup
from moi_backup.repository.chain import Chain, published
from moi_backup.repository.reading import read_chunk_lists
from moi_backup.repository.repository import Repository
from moi_backup.repository.verify import Fault, verify_structure

_FAULTS_SHOWN = 3


class Judge:
    """Judges tables of one listed backup; its structure is walked once for all of them."""

    def __init__(self, repository: Repository, chain: Chain, backup: BackupManifest) -> None:
        self.backup = backup
        self._repository, self._chain = repository, chain
        self._structure: list[Fault] | None = None

    def complete(self, table: TableName) -> Verdict:
        """The table is in the backup, with as many rows a day as its snapshot counted in the database."""
        stored = self._table(table)
        if stored is None:
            return self._absent(table)
        lists = list(read_chunk_lists(self._repository, stored.manifest.months))
        counted = {label: seen.rows for chunks in lists for label, seen in chunks.scan.items() if seen.rows}
        kept: dict[str, int] = {}
        for part in (part for chunks in lists for chunk in chunks.chunks for part in chunk.days):
            kept[part.day] = kept.get(part.day, 0) + part.rows
        wrong = sorted(label for label in counted.keys() | kept.keys() if counted.get(label) != kept.get(label))
        facts: dict[str, int | str] = {
            "rows in the snapshot": sum(counted.values()), "rows in the backup": sum(kept.values()), "days": len(kept)
        }  # fmt: skip
        told = f"{len(wrong)} days differ from the snapshot, first {wrong[0]}." if wrong else "Every row is there."
        return Verdict(passed=not wrong, text=told, facts=facts)

    def required_fields(self, table: TableName) -> Verdict:
        """The required fields are there and filled in every stored row."""
        stored = self._table(table)
        return self._absent(table) if stored is None else required_fields_filled(stored)

    def readable(self, table: TableName) -> Verdict:
        """Every object the table needs is there with its size; those that are new in this backup have their hash."""
        stored = self._table(table)
        if stored is None:
            return self._absent(table)
        if self._structure is None:
            self._structure = verify_structure(self._repository, [self.backup.id])
        told = [f"{fault.object} {fault.detail}" for fault in self._structure if fault.table in (None, str(table))]
        fresh = self._fresh_chunks(table, stored) if not told else []
        told += [error for chunk in fresh if (error := self._unreadable(table, chunk))]
        facts: dict[str, int | str] = {
            "objects": sum(ref.chunks for ref in stored.manifest.months),
            "objects read and hashed": len(fresh),
            "faults": len(told),
        }
        shown = "; ".join(told[:_FAULTS_SHOWN])
        text = shown or "Every object is there, and what is new reads as it was written."
        return Verdict(passed=not told, text=text, facts=facts)

    def _table(self, table: TableName) -> StoredTable | None:
        try:
            return open_table(self._repository, self.backup, table)
        except KeyError:
            return None

    def _absent(self, table: TableName) -> Verdict:
        facts: dict[str, int | str] = {"tables in the backup": len(self.backup.tables)}
        return Verdict(passed=False, text=f"{table} is not in backup {self.backup.id}.", facts=facts)

    def _fresh_chunks(self, table: TableName, stored: StoredTable) -> list[Chunk]:
        """The chunks that the last complete backup before this one did not have."""
        before = self._before()
        known: set[str] = set()
        if before is not None and any(entry.table == table for entry in before.tables):
            known = {chunk.stored for chunk in open_table(self._repository, before, table).chunks()}
        return [chunk for chunk in stored.chunks() if chunk.stored not in known]

    def _before(self) -> BackupManifest | None:
        listed = published(self._chain)
        for backup in reversed(listed[: listed.index(self.backup.id)]):
            try:
                manifest = read_backup(self._repository, self._chain, backup)
            except Damaged:
                continue  # then everything counts as new and is read
            if is_recovery_point(manifest):
                return manifest
        return None

    def _unreadable(self, table: TableName, chunk: Chunk) -> str | None:
        try:
            with self._repository.open_chunk(table, chunk):
                return None
        except (Damaged, StorageError) as error:
            return f"{layout.chunk_name(table, chunk)}: {error.what}"


STATEMENTS: Mapping[str, Callable[[Judge, TableName], Verdict]] = {
    "complete": Judge.complete,
    "required_fields": Judge.required_fields,
    "readable": Judge.readable,
}


def judge_table(judge: Judge, table: TableName, statement: str) -> Verdict:
    """One of STATEMENTS about a table. Damage met on the way is a verdict too, not an error."""
    try:
        return STATEMENTS[statement](judge, table)
    except Damaged as error:
        return Verdict(passed=False, text=str(error), facts={"backup": judge.backup.id})
