"""One backup under way: one snapshot, every table written, published at the very end.

The caller holds the lease and says what is read from which database; whatever stops a run, nothing is published.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from moi_backup.errors import Damaged, SourceError, StorageError, UsageError
from moi_backup.lake.day_stream import Miscounted
from moi_backup.model.backup import BackupKind, BackupManifest, Coverage, SchemaDump, TableEntry
from moi_backup.model.configuration import Configuration, configuration_digest
from moi_backup.model.table import TableManifest, TableName
from moi_backup.operations.back_up_schema import back_up_schema
from moi_backup.operations.back_up_table import BaseTable, TableBackup
from moi_backup.operations.backup_debris import delete_unpublished, scratch_folder
from moi_backup.operations.database_errors import database_errors
from moi_backup.operations.hold_snapshot import hold_snapshot
from moi_backup.operations.progress import Progress
from moi_backup.operations.protect import ProtectedTable, protected_names, read_protected, unprotected_names
from moi_backup.operations.workspace import Workspace
from moi_backup.postgres.arrow_session import ArrowSession
from moi_backup.postgres.catalog import read_tables, total_size
from moi_backup.postgres.connection_url import address_of
from moi_backup.postgres.fingerprint import server_fingerprint, still_valid, table_fingerprint
from moi_backup.postgres.session import Connection, CoordinatingSnapshot, begin, connect
from moi_backup.repository.backups import is_recovery_point, read_backup
from moi_backup.repository.chain import Chain, append, published, read_chain
from moi_backup.repository.layout import new_backup_id
from moi_backup.repository.leases import Lease
from moi_backup.repository.marks import damaged_chunks
from moi_backup.repository.read_back import read_back
from moi_backup.repository.reading import read_chunk_lists
from moi_backup.repository.repository import Repository

UNPUBLISHED = "No backup was published; the earlier ones are as they were."
ATTEMPTS = 3  # for a schema that changes during the backup
MINIMUM_FREE_BYTES = 64 * 1024 * 1024


class ChangedMeanwhile(SourceError):
    """What is to be backed up changed under the backup, past the locks that it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupOrder:
    """What is to be backed up, and as what. `full` None: incremental where there is a base, else full.

    `restore` names the restore whose way this backup is on, `files` what else it keeps (`BackupManifest.files`).
    """

    coverage: Coverage
    full: bool | None = None
    reason: str = ""
    kind: BackupKind | None = None
    restore: str = ""
    files: tuple[dict[str, Any], ...] = ()


class Published(NamedTuple):
    """A published backup and what each table's manifest says."""

    manifest: BackupManifest
    tables: tuple[TableManifest, ...]


class _Unpublished(NamedTuple):
    """A backup that is written and not published; `chain` and the chunks marked `damaged` are as when it began."""

    manifest: BackupManifest
    tables: tuple[TableManifest, ...]
    damaged: frozenset[str]
    chain: Chain


@dataclass(frozen=True, slots=True)
class BackupRun:
    """One backup of the database at `url` under a lease that the caller holds.

    `repository` knows its marks and holds the keys of all scopes. `configuration` says how the tables are read, that of
    the workspace what is protected at all. `names` reads anew which tables there are, after a change meanwhile.
    """

    workspace: Workspace
    configuration: Configuration
    order: BackupOrder
    repository: Repository
    lease: Lease
    conn: Connection
    url: str
    names: Callable[[], Sequence[TableName]]
    progress: Progress

    def take(self, names: Sequence[TableName]) -> Published:
        """Back up and publish these tables. Whatever stops it, nothing is published, and new chunks go away again."""
        started = self.workspace.clock.now()
        created: list[str] = []
        with scratch_folder(self.repository.store, now=started) as scratch:
            try:
                written = self._settled(names, started, scratch, created)
            except BaseException:  # whatever stopped it: nothing is published yet
                delete_unpublished(self.repository, created, lease=self.lease, now=self.workspace.clock.now)
                raise
            self._publish(written, started)
        return Published(written.manifest, written.tables)

    def _settled(
        self, names: Sequence[TableName], started: datetime, scratch: Path, created: list[str]
    ) -> _Unpublished:
        """Try until nothing changes the schema meanwhile; raises what stopped the last attempt."""
        for _ in range(ATTEMPTS - 1):
            try:
                return self._write(names, started, scratch, created)
            except (ChangedMeanwhile, Miscounted) as error:  # a partition attached between count and export miscounts
                self.conn.rollback()
                self.progress.step(f"{error.what} The backup begins again.")
                names = self.names()
        return self._write(names, started, scratch, created)

    def _write(self, names: Sequence[TableName], started: datetime, scratch: Path, created: list[str]) -> _Unpublished:
        """Write everything but the manifest itself and the chain entry; `created` collects new chunks as they come."""
        chain = read_chain(self.repository)
        base = self._base(chain)
        damaged = damaged_chunks(self.repository.store)
        with ArrowSession(self.url) as session:
            snapshot, (tables, schema) = self._snapshot(names, session, base, scratch)
            backup = TableBackup(
                conn=self.conn,
                session=session,
                repository=self.repository,
                scratch=scratch,
                created=created,
                progress=self.progress,
                checkpoint=partial(self._require_time, started),
                damaged=damaged,
            )
            written = self._tables(tables, base, backup)
        manifest = self._manifest(started, snapshot, schema, written, base)
        self._require_unchanged(written)
        self.conn.rollback()
        return _Unpublished(manifest, tuple(table for table, _ in written), damaged, chain)

    def _require_unchanged(self, written: Sequence[tuple[TableManifest, TableEntry]]) -> None:
        """Compare definitions with how they stand outside of the snapshot, while the locks are still held.

        A renamed enum label or an attached partition passes those locks and shows in the rows but not in the dumped
        schema, or the other way round: such a backup could not be restored.
        """
        entries = {entry.table: entry for _, entry in written}
        with connect(self.url) as now:
            begin(now, lock_timeout_ms=lock_timeout_ms(self.configuration))
            for table in read_tables(now, list(entries), schema=self.configuration.source.schema):
                facts = table_fingerprint(now, table)
                if any(entries[table.name].fingerprint[fact] != facts[fact] for fact in ("definition", "leaves")):
                    raise ChangedMeanwhile(
                        f"The definition of {table.name}, its types or its partitions changed during the backup.",
                        meaning="Rows and definitions would not fit together, so it was not published.",
                        remedy="Run the backup again when nobody changes the schema.",
                    )

    def _base(self, chain: Chain) -> BackupManifest | None:
        """The newest complete backup, whose chunks are reused where they are whole. A damaged one is passed over."""
        for backup in reversed(published(chain)):
            try:
                manifest = read_backup(self.repository, chain, backup)
            except Damaged as error:
                self.progress.warn(f"Backup {backup} cannot be built on: {error.what}")
                continue
            if is_recovery_point(manifest):
                return manifest
        if self.order.full is False:
            self.progress.warn("There is no complete backup to build on, so this one is full.")
        return None

    def _snapshot(
        self, names: Sequence[TableName], session: ArrowSession, base: BackupManifest | None, scratch: Path
    ) -> tuple[CoordinatingSnapshot, tuple[Sequence[ProtectedTable], SchemaDump]]:
        """The snapshot that both sessions hold, with the tables as they stand in it and their dumped definitions."""

        def dump(held: CoordinatingSnapshot, lock_timeout_ms: int) -> tuple[Sequence[ProtectedTable], SchemaDump]:
            self._require_all(names)
            tables = self._covered(read_protected(self.conn, self.configuration, names))
            self._require_space(tables, base)
            return tables, back_up_schema(
                self.repository,
                self.conn,
                self.url,
                tables,
                snapshot=held.exported,
                base=base,
                scratch=scratch,
                lock_timeout_ms=lock_timeout_ms,
            )

        snapshot, dumped = hold_snapshot(
            self.conn,
            session,
            names,
            address=address_of(self.url),
            lock_timeout_ms=lock_timeout_ms(self.configuration),
            dump=dump,
            progress=self.progress,
        )
        self.progress.step(
            f"Snapshot {snapshot.source.snapshot} of {snapshot.source.database}; "
            "until the backup ends, VACUUM keeps rows that die after it."
        )
        return snapshot, dumped

    def _tables(
        self, tables: Sequence[ProtectedTable], base: BackupManifest | None, backup: TableBackup
    ) -> list[tuple[TableManifest, TableEntry]]:
        server = {**server_fingerprint(self.conn), "configuration": configuration_digest(self.workspace.configuration)}
        written: list[tuple[TableManifest, TableEntry]] = []
        for table in tables:
            fingerprint = {**server, **table_fingerprint(self.conn, table.catalog)}
            known = self._base_table(table, base, fingerprint)
            with database_errors(f"{table.name} could not be read", url=self.url, meaning=UNPUBLISHED):
                written.append(backup.take(table, known, days=self.order.coverage.days, fingerprint=fingerprint))
            self.lease.assert_held()
        return written

    def _base_table(
        self, table: ProtectedTable, base: BackupManifest | None, fingerprint: dict[str, str]
    ) -> BaseTable | None:
        entry = next((entry for entry in base.tables if entry.table == table.name), None) if base else None
        if entry is None:
            return None
        try:
            manifest = self.repository.read_table(entry.manifest)
            lists = {found.month: found for found in read_chunk_lists(self.repository, manifest.months)}
        except Damaged as error:
            self.progress.warn(
                f"{table.name}: everything is written anew, because the last backup is damaged: {error.what}"
            )
            return None
        reason = "a full backup reads everything" if self.order.full else still_valid(entry.fingerprint, fingerprint)
        if reason and not self.order.full:
            self.progress.step(f"{table.name}: every row is read, because {reason}.")
        return BaseTable(manifest, lists, trusted=reason is None)

    def _manifest(
        self,
        started: datetime,
        snapshot: CoordinatingSnapshot,
        schema: SchemaDump,
        written: Sequence[tuple[TableManifest, TableEntry]],
        base: BackupManifest | None,
    ) -> BackupManifest:
        full = base is None or bool(self.order.full)
        return BackupManifest(
            id=new_backup_id(started, entropy=os.urandom(3)),
            kind=self.order.kind or ("full" if full else "incremental"),
            started_at=_stamp(started),
            finished_at=_stamp(self.workspace.clock.now()),
            reason=self.order.reason,
            coverage=self.order.coverage,
            source=snapshot.source,
            base=None if full or base is None else base.id,
            schema=schema,
            tables=tuple(entry for _, entry in written),
            unprotected=self._unprotected(),
            configuration=configuration_digest(self.workspace.configuration),
            tool=_tool_versions(),
            partition_start=self.workspace.configuration.source.partition_start.isoformat(),
            timezone=self.workspace.configuration.source.timezone,
            files=self.order.files,
            restore=self.order.restore or msgspec.UNSET,
        )

    def _unprotected(self) -> tuple[str, ...]:
        """What no entry covers; a backup on the way to a restore is about its tables alone, perhaps elsewhere."""
        if self.order.kind == "pre_restore":
            return ()
        return tuple(str(name) for name in unprotected_names(self.conn, self.workspace.configuration))

    def _publish(self, written: _Unpublished, started: datetime) -> None:
        """Read back what the manifest names, then write it and the chain entry that makes it a backup."""
        # Chunks marked since the beginning; those marked before were written anew.
        manifest = written.manifest
        read_back(self.repository, manifest, damaged=damaged_chunks(self.repository.store) - written.damaged)
        self._require_time(started)
        stored = self.repository.write_backup(manifest)
        append(
            self.repository,
            action="publish",
            backup=manifest.id,
            manifest=stored,
            at=self.workspace.clock.now(),
            lease=self.lease,
            after=written.chain,
        )

    def _require_all(self, names: Sequence[TableName]) -> None:
        """A table that was created since the names were read must not be missing from a complete backup."""
        if self.order.coverage.tables is not None:
            return
        if set(protected_names(self.conn, self.workspace.configuration)) != set(names):
            raise ChangedMeanwhile("Tables were created or dropped while the backup waited for its snapshot.")

    def _covered(self, tables: Sequence[ProtectedTable]) -> Sequence[ProtectedTable]:
        """The tables that can be limited as asked: without a day column there are no days to choose."""
        if self.order.coverage.days is None:
            return tables
        for table in tables:
            if table.day is None:
                self.progress.warn(f"{table.name} has no day column, so a backup of days leaves it out.")
        covered = [table for table in tables if table.day is not None]
        if not covered:
            raise UsageError(
                "None of the tables has a day column, so there are no days to back up.",
                remedy="Leave out --days, or name the day column in moi.toml.",
            )
        return covered

    def _require_time(self, started: datetime) -> None:
        """Refuse to go on past the longest allowed duration.

        The transaction holds VACUUM back, and a prune counts on it.
        """
        hours = (self.workspace.clock.now() - started).total_seconds() / 3600
        longest = self.workspace.configuration.source.max_duration
        if hours > longest:
            raise StorageError(
                f"The backup has taken {hours:.1f} h, longer than the allowed {longest:g} h.",
                meaning="It was not published. Its transaction kept VACUUM from removing dead rows, "
                "and a clean-up may count on its end.",
                remedy="Raise source.max_duration (at most 24 h) or back up fewer tables at once.",
            )

    def _require_space(self, tables: Sequence[ProtectedTable], base: BackupManifest | None) -> None:
        """Refuse to begin what cannot fit: half of what tables without a base take in the database, and a reserve."""
        free = self.repository.store.free_bytes()
        known = {entry.table for entry in base.tables} if base else set[TableName]()
        new = total_size(self.conn, [table.catalog for table in tables if table.name not in known])
        needed = MINIMUM_FREE_BYTES + new // 2
        if free is not None and free < needed:
            raise StorageError(
                f"{self.repository.store.address} has {free >> 20} MiB free; this backup may need {needed >> 20} MiB.",
                meaning="Nothing was written.",
                remedy="Free some space, or move the repository (MOI_REPOSITORY).",
            )


def lock_timeout_ms(configuration: Configuration) -> int:
    """How long a backup waits for the lock of a table."""
    return int(configuration.source.lock_timeout * 1000)


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


def _tool_versions() -> dict[str, str]:
    packages = ("moi-backup", "pyarrow", "adbc-driver-postgresql", "psycopg", "blake3")
    return {"python": platform.python_version(), **{package: version(package) for package in packages}}
