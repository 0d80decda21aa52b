"""Verify a repository: its structure always, its data on request (docs/format.md says what must hold).

A fault is named by object, backup, table and day. Chunks found damaged are marked: the next backup writes them anew.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from moi_backup.errors import Damaged, StorageError, UsageError, WrongKey
from moi_backup.model.backup import BackupManifest
from moi_backup.model.key_ring import KeyRing
from moi_backup.model.table import TableName
from moi_backup.model.verdict import Verdict
from moi_backup.operations.back_up_table import digest_of_chunks
from moi_backup.operations.judge_backup import Judge, judge_table
from moi_backup.operations.judge_keys import judge_keys
from moi_backup.operations.judge_trash import notes_on_trash
from moi_backup.operations.locked_columns import locked_columns
from moi_backup.operations.progress import Progress, Silent
from moi_backup.operations.read_data import DataReader, files_to_read
from moi_backup.operations.workspace import Workspace
from moi_backup.repository import layout
from moi_backup.repository.backups import is_recovery_point, resolve_backup, try_backups
from moi_backup.repository.chain import Chain, published, scan_chain
from moi_backup.repository.marks import damaged_chunks, mark_damaged, unmark_damaged
from moi_backup.repository.reachability import ReachableChunk, list_debris, reachable_chunks
from moi_backup.repository.reading import SharedDocuments, Unreadable
from moi_backup.repository.records import verify_records
from moi_backup.repository.repository import Repository
from moi_backup.repository.verify import Fault, verify_structure

_SUBSET = re.compile(r"(\d{1,6})/(\d{1,6})")


class Subset(msgspec.Struct, frozen=True):
    """Part `part` (from 1) of `of`: objects are dealt out by their hash, so all parts together read everything."""

    part: int
    of: int

    def __contains__(self, digest: str) -> bool:
        return int(digest[:16], 16) % self.of == self.part - 1

    def __str__(self) -> str:
        return f"{self.part}/{self.of}"


class DataRead(msgspec.Struct, frozen=True, kw_only=True):
    """How much data was read and compared; `subset` null means all of it."""

    subset: str | None
    objects: int
    bytes: int
    rows: int
    seconds: float


class DebrisFound(msgspec.Struct, frozen=True, kw_only=True):
    """Objects no backup needs (left by a killed operation, or being written by a running one). It is no damage."""

    objects: int
    bytes: int
    temporary: int
    unknown: tuple[str, ...]


class TableVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """A statement about one table of the judged backup: `complete`, or `required_fields` when the data was read."""

    table: str
    statement: str
    passed: bool
    serious: bool
    text: str
    facts: dict[str, int | str]


class CopyVerification(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in the copy. `behind` are the repository's listed backups it does not have yet."""

    repository: str
    backups: tuple[str, ...]
    behind: tuple[str, ...]
    rows: int
    faults: tuple[Fault, ...]
    data: DataRead | None
    marked: int
    unmarked: int
    notes: tuple[str, ...]
    seconds: float


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `judged` is the backup the verdicts speak of; `notes` tells what could not be done, and why.

    `behind` is for a copy verified alone: the repository's listed backups it does not have yet; null where that is not
    known. `copy` is what was found in the copy beside the repository.
    """

    repository: str
    backups: tuple[str, ...]
    rows: int
    tables: int
    faults: tuple[Fault, ...]
    data: DataRead | None
    judged: str | None
    verdicts: tuple[TableVerdict, ...]
    debris: DebrisFound | None
    marked: int
    unmarked: int
    notes: tuple[str, ...]
    seconds: float
    behind: tuple[str, ...] | None = None
    copy: CopyVerification | None = None

    @property
    def exit_code(self) -> int:
        """20 when anything is damaged; verdicts, debris and a copy that lags behind are told and are no damage."""
        return Damaged.exit_code if self.faults or (self.copy and self.copy.faults) else 0


def parse_subset(text: str) -> Subset:
    """`n/t` with 1 <= n <= t; raises UsageError for anything else."""
    match = _SUBSET.fullmatch(text)
    part, of = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= part <= of:
        raise UsageError(
            f"{text!r} is no subset.",
            remedy="Give it as n/t with n from 1 to t: 1/7, 2/7 ... 7/7 read everything in seven runs.",
        )
    return Subset(part, of)


def verify(
    workspace: Workspace,
    *,
    backup: str | None = None,
    read_data: bool = False,
    subset: Subset | None = None,
    progress: Progress | None = None,
    repository: Repository | None = None,
) -> Verification:
    """Verify one backup (None: all listed, and the chain). `subset` limits the data that is read and implies reading.

    `repository` is another one than the configured.

    Damage is in the result, never raised, unless the repository itself cannot be identified (NoRepository, Damaged).
    """
    run = _Run(workspace, repository or workspace.open(), progress or Silent())
    return run.verify(backup, read_data=read_data or subset is not None, subset=subset)


class _Run:
    """One verification."""

    def __init__(self, workspace: Workspace, repository: Repository, progress: Progress) -> None:
        self._workspace, self._repository, self._progress = workspace, repository, progress
        scan = scan_chain(repository)
        self._chain = Chain(scan.entries, scan.head)
        self._notes: list[str] = []

    def verify(self, backup: str | None, *, read_data: bool, subset: Subset | None) -> Verification:
        started = self._workspace.clock.monotonic()
        chosen = None if backup is None else [resolve_backup(self._repository, self._chain, backup).id]
        self._progress.step("Checking the structure: chain, manifests, and that every object is there.")
        faults = verify_structure(self._repository, chosen)
        manifests = self._manifests(published(self._chain) if chosen is None else chosen)
        reader = DataReader(self._repository, self._progress)
        chunks = self._chunks(manifests) if read_data or self._repository.ring.encrypted else []
        of_keys, notes = judge_keys(self._workspace, self._repository, chunks)
        data = self._read(reader, manifests, chunks, faults, subset) if read_data else None
        found = tuple(faults + of_keys + reader.faults)
        self._notes += [*notes, *notes_on_trash(self._repository, self._chain)]
        marked, unmarked = self._mark(reader)
        judged = _to_judge(manifests)
        verdicts = () if judged is None else self._verdicts(judged, found, fields=read_data and subset is None)
        of_records = () if chosen else verify_records(self._repository)  # after the verdicts: they touch no backup
        return Verification(
            repository=self._repository.store.address,
            backups=tuple(manifest.id for manifest in manifests),
            rows=sum(manifest.rows for manifest in manifests),
            tables=sum(len(manifest.tables) for manifest in manifests),
            faults=(*found, *of_records),
            data=data,
            judged=None if judged is None else judged.id,
            verdicts=verdicts,
            debris=self._debris(),
            marked=marked,
            unmarked=unmarked,
            notes=tuple(self._notes),
            seconds=self._workspace.clock.monotonic() - started,
        )

    def _manifests(self, backups: Sequence[str]) -> list[BackupManifest]:
        """Those that can be read; the others are faults of the structure already."""
        found: list[BackupManifest] = []
        for backup, manifest in try_backups(self._repository, self._chain, backups):
            if isinstance(manifest, BackupManifest):
                found.append(manifest)
            else:
                self._notes.append(f"Backup {backup}: its manifest cannot be read, so neither can its data.")
        return found

    def _chunks(self, manifests: Sequence[BackupManifest]) -> list[ReachableChunk]:
        lost: list[Unreadable] = []  # the structure has named them
        return list(reachable_chunks(self._repository, manifests, on_damage=lost.append))

    def _read(
        self,
        reader: DataReader,
        manifests: Sequence[BackupManifest],
        reachable: Sequence[ReachableChunk],
        faults: Sequence[Fault],
        subset: Subset | None,
    ) -> DataRead:
        started = self._workspace.clock.monotonic()
        known = {fault.object for fault in faults}
        chunks = [
            item
            for item in reachable
            if (subset is None or item.chunk.stored in subset)
            and layout.chunk_name(item.table, item.chunk) not in known
        ]
        reader.read_chunks(chunks)
        self._notes += _unverified(chunks, self._repository.ring)
        files = files_to_read(manifests)
        reader.read_files(
            {
                digest: needed
                for digest, needed in files.items()
                if (subset is None or digest in subset) and layout.file_name(digest) not in known
            }
        )
        reader.faults += _table_faults(self._repository, manifests)
        return DataRead(
            subset=None if subset is None else str(subset),
            objects=reader.amount.objects,
            bytes=reader.amount.bytes,
            rows=reader.amount.rows,
            seconds=self._workspace.clock.monotonic() - started,
        )

    def _mark(self, reader: DataReader) -> tuple[int, int]:
        """Mark what is damaged, take the marks from what was read whole; how many of each."""
        store = self._repository.store
        try:
            before = damaged_chunks(store)
            bad, good = reader.bad_chunks - before, before & reader.good_chunks
            for stored in sorted(bad):
                mark_damaged(store, stored=stored)
            for stored in sorted(good):
                unmark_damaged(store, stored=stored)
        except StorageError as error:
            self._notes.append(f"The damaged chunks could not be marked for the next backup: {error.what}")
            return 0, 0
        return len(bad), len(good)

    def _verdicts(self, backup: BackupManifest, faults: Sequence[Fault], *, fields: bool) -> tuple[TableVerdict, ...]:
        """What can be said of tables without faults; of the others the faults have said it."""
        faulty = {fault.table for fault in faults if not fault.backups or backup.id in fault.backups}
        judge = Judge(self._repository, self._chain, backup)
        statements = ("complete", "required_fields") if fields else ("complete",)
        verdicts: list[TableVerdict] = []
        for table in _expected(self._workspace, backup):
            if faulty & {None, str(table)}:
                continue
            for statement in statements:
                try:
                    verdict = judge_table(judge, table, statement)
                except StorageError as error:
                    verdict = Verdict(passed=False, text=error.what, facts={})
                except WrongKey as error:
                    self._notes.append(f"{table}: {statement} was not judged. {error.what}")
                    continue
                verdicts.append(_table_verdict(table, statement, verdict))
        return tuple(verdicts)

    def _debris(self) -> DebrisFound | None:
        try:
            debris = list_debris(self._repository)
        except (Damaged, StorageError) as error:
            self._notes.append(f"What no backup needs was not looked for: {error.what}")
            return None
        return DebrisFound(
            objects=len(debris.unreachable),
            bytes=sum(info.size for info in debris.unreachable),
            temporary=len(debris.temporary),
            unknown=debris.unknown,
        )


def _unverified(chunks: Sequence[ReachableChunk], ring: KeyRing) -> list[str]:
    """The columns whose digests could not be recomputed without their key; the bytes they lie in were hashed."""
    told = {
        f"{item.table}: {locked}; its bytes were hashed, its values were not looked at."
        for item in chunks
        for locked in locked_columns(item.manifest, ring, [item.chunk.encoding])
    }
    return sorted(told)


def _table_faults(repository: Repository, manifests: Sequence[BackupManifest]) -> list[Fault]:
    """Table manifests whose digest is not that of their days."""
    needed: dict[str, list[str]] = {}
    for manifest in manifests:
        for entry in manifest.tables:
            needed.setdefault(entry.manifest, []).append(manifest.id)
    lost: list[Unreadable] = []  # the structure has named them
    documents = SharedDocuments(repository, on_damage=lost.append)
    documents.fetch(needed)
    faults: list[Fault] = []
    for digest, backups in needed.items():
        table = documents.table(digest)
        lists = [documents.chunk_list(ref.list) for ref in table.months] if table is not None else []
        if table is None or any(found is None for found in lists):
            continue
        made = digest_of_chunks([chunk for found in lists if found is not None for chunk in found.chunks])
        if made != table.digest:
            detail = f"says the digest {table.digest}, its days make {made}"
            name = layout.table_name(digest)
            faults.append(Fault(name, "inconsistent", detail, tuple(backups), str(table.table)))
    return faults


def _to_judge(manifests: Sequence[BackupManifest]) -> BackupManifest | None:
    """The newest complete backup, else the newest of any kind."""
    complete = [manifest for manifest in manifests if is_recovery_point(manifest)]
    return (complete or list(manifests) or [None])[-1]


def _expected(workspace: Workspace, backup: BackupManifest) -> list[TableName]:
    """The tables that should be in the backup: those configured now that it covers, and those it has."""
    covered = backup.coverage.tables
    configured = [name for name in workspace.configuration.tables or () if covered is None or str(name) in covered]
    return list(dict.fromkeys([*configured, *(entry.table for entry in backup.tables)]))


def _table_verdict(table: TableName, statement: str, verdict: Verdict) -> TableVerdict:
    return TableVerdict(
        table=str(table),
        statement=statement,
        passed=verdict.passed,
        serious=verdict.serious,
        text=verdict.text,
        facts=verdict.facts,
    )
