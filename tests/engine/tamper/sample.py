"""A small repository with three backups and all kinds of objects, and copies of it that may be damaged.

`PROTECTIONS` are the ways a repository can be stored; the whole matrix holds for each of them.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec

from moi_backup.lake.parquet import keys_of
from moi_backup.model.backup import BackupManifest
from moi_backup.model.table import ChunkList, TableManifest, TableName
from moi_backup.operations.rotate_keys import rotate_keys
from moi_backup.repository import layout
from moi_backup.repository.heads import head_file
from moi_backup.repository.key_text import generate_master
from moi_backup.repository.records import write_record
from tests.engine.conftest import Server, create_database
from tests.engine.deployment import Deployment
from tests.engine.oracle import Rows, database_of

Protection = Literal["plain", "encrypted"]
PROTECTIONS: tuple[Protection, ...] = ("plain", "encrypted")
SALES = TableName("public", "sales")
RECORDS = ("20261124T203000Z-000001", "20261124T203000Z-000002")
CONFIGURATION: dict[Protection, str] = {
    "plain": "",
    "encrypted": """
[tables.sales]
day = "day"
scopes = { pii = ["campaign"], financial = ["spent"] }
[tables.notes]
[tables.later]
day = "day"
""",
}
SCRIPTS = (
    """
    CREATE TABLE sales (id int PRIMARY KEY, day date, campaign text, spent numeric(10, 2));
    CREATE TABLE notes (text text);
    INSERT INTO sales SELECT i, date '2025-08-05' + i, 'campaign ' || i % 5, i / 4.0 FROM generate_series(1, 80) i;
    INSERT INTO sales VALUES (900, NULL, 'undated', 1), (901, NULL, NULL, NULL);
    INSERT INTO notes SELECT 'note ' || i % 3 FROM generate_series(1, 9) i;
    """,
    """
    CREATE TABLE later (id int PRIMARY KEY, day date);
    INSERT INTO later VALUES (1, '2025-09-14');
    UPDATE sales SET spent = spent + 1 WHERE day BETWEEN '2025-09-10' AND '2025-09-20';
    """,
    "INSERT INTO notes VALUES ('the last')",
)


class Happened(msgspec.Struct, frozen=True):
    """A record that says little."""

    id: str
    format: int = 1


@dataclass(frozen=True)
class Touched:
    """What damage of one object concerns, as verification must say it: backups, table, days."""

    backups: tuple[str, ...] = ()
    table: str | None = None
    days: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sample:
    """The deployment as it is now, what it was one backup before, and the rows of every backup by table.

    An encrypted one has had its master key rotated after the first backup: `former` is what it was before. `foreign`
    is another repository under the same master key, without backups.
    """

    protection: Protection
    server: Server
    deployment: Deployment
    former: Path
    older: Path
    foreign: Path
    rows: dict[str, dict[str, Rows]]

    def copy(self, folder: Path) -> Deployment:
        """The same deployment with a repository and a state of its own, as new as if it had been written now.

        The head that was seen at the first place counts as seen at this one.
        """
        for part in ("repository", "state"):
            shutil.copytree(self.deployment.folder / part, folder / part, copy_function=shutil.copy)
        made = Deployment(self.deployment.url, folder, keys=self.deployment.keys)
        shutil.copy(self.deployment.folder / "moi.toml", folder)
        repository = made.workspace.open()
        seen = head_file(repository.heads, repository=repository.id, address=repository.store.address)
        remembered_head(made.folder).rename(seen)
        return made

    def empty_database(self) -> str:
        """The URL of a database without tables."""
        name = f"tampered_empty_{os.getpid()}"
        create_database(self.server, name)
        return self.server.url(name)

    @property
    def newest(self) -> BackupManifest:
        """The last backup."""
        return self.deployment.backups()[-1]

    def table(self, backup: BackupManifest) -> tuple[str, TableManifest]:
        """Digest and manifest of the sales in a backup."""
        digest = next(entry.manifest for entry in backup.tables if entry.table == SALES)
        return digest, self.deployment.workspace.open().read_table(digest)

    def lists(self, backup: BackupManifest) -> dict[str, tuple[str, ChunkList]]:
        """Digest and chunk list of every month of the sales in a backup."""
        repository = self.deployment.workspace.open()
        return {ref.month: (ref.list, repository.read_chunk_list(ref.list)) for ref in self.table(backup)[1].months}

    def touched_by(self, name: str) -> Touched:
        """Which backups, table and days need an object of the sales, a file, a manifest; nothing for the history."""
        backups = tuple(sorted(backup.id for backup in self.deployment.backups() if name in self._needs(backup)))
        table = str(SALES) if name.startswith((layout.TABLES, layout.CHUNKS, layout.KEYS)) else None
        return Touched(backups, table, self._days(name))

    def _needs(self, backup: BackupManifest) -> set[str]:
        lists = self.lists(backup).values()
        entries = [chunk for _, found in lists for chunk in found.chunks]
        chunks = {layout.chunk_name(SALES, chunk) for chunk in entries}
        tables = {layout.table_name(digest) for digest in (self.table(backup)[0], *(digest for digest, _ in lists))}
        keys = {
            layout.key_name(*key) for _, found in lists for chunk in found.chunks for key in keys_of(chunk.encoding)
        }
        return chunks | tables | keys | {layout.backup_name(backup.id), layout.file_name(backup.schema.digest)}

    def _days(self, name: str) -> tuple[str, ...]:
        for backup in self.deployment.backups():
            for month, (digest, found) in self.lists(backup).items():
                if name == layout.table_name(digest):
                    return (month,)
                for chunk in found.chunks:
                    if name == layout.chunk_name(SALES, chunk):
                        return tuple(day.day for day in chunk.days)
        return ()


def remembered_head(folder: Path) -> Path:
    """The file that remembers the head in the state of a deployment."""
    (file,) = (folder / "state" / "heads").iterdir()
    return file


def make_sample(server: Server, folder: Path, *, protection: Protection) -> Sample:
    """Three backups (full, incremental, full) with changes between, and copies as it was before the last two."""
    name = f"tampered_{protection}_{os.getpid()}"
    create_database(server, name)
    keys = {"MOI_KEY_1": generate_master(os.urandom)} if protection == "encrypted" else {}
    made = Deployment(server.url(name), folder / "now", keys=keys)
    made.folder.mkdir(parents=True)
    made.configure(CONFIGURATION[protection].partition("[tables.later]")[0])
    made.initialise()
    rows: dict[str, dict[str, Rows]] = {}
    for number, script in enumerate(SCRIPTS):
        if number:
            shutil.copytree(made.folder, folder / f"before-{number}")
            made = _rotated(made) if keys and number == 1 else made
            made.configure(CONFIGURATION[protection])
        made.sql(script)
        backup = made.back_up(full=number != 1).manifest.id
        rows[backup] = database_of(made.url)
    for record in RECORDS:
        write_record(made.workspace.open(), "restores", record, Happened(record))
    foreign = replace(made, folder=folder / "foreign")
    foreign.folder.mkdir()
    foreign.configure("")
    foreign.initialise()
    return Sample(protection, server, made, folder / "before-1", folder / "before-2", foreign.folder, rows)


def _rotated(made: Deployment) -> Deployment:
    """Under another master key, which alone is configured then."""
    new = {"MOI_KEY_2": generate_master(os.urandom)}
    rotate_keys(replace(made, keys={**made.keys, **new}).workspace, wait=0, entropy=os.urandom)
    return replace(made, keys=new)
