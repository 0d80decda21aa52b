"""What encryption costs: the same backup and the same reading with and without it, in the platform's default scopes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.measured import Measured
from bench.place import TABLE, Place
from bench.round import Round
from bench.timing import Side, alternating
from moi_backup.operations.stored_table import open_table
from moi_backup.operations.take_backup import BackupRequest, take_backup
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.backups import resolve_backup
from moi_backup.repository.key_text import generate_master
from moi_backup.repository.repository import create
from moi_backup.settings import read_settings


@dataclass(frozen=True, slots=True)
class _Repository:
    """A repository of its own beside the place's, encrypted when it has keys."""

    place: Place
    folder: Path
    keys: dict[str, str]

    @property
    def workspace(self) -> Workspace:
        environ = {**self.place.environment, "MOI_REPOSITORY": str(self.folder), **self.keys}
        return Workspace(read_settings(environ, cwd=self.place.folder, effective_uid=os.geteuid()))

    def empty(self) -> None:
        if self.folder.exists():
            shutil.rmtree(self.folder)
        workspace = self.workspace
        create(workspace.store(), now=workspace.clock.now(), entropy=os.urandom, keys=workspace.settings.keys)

    def back_up(self) -> None:
        take_backup(self.workspace, BackupRequest(full=True))

    def read(self) -> None:
        repository, chain = self.workspace.history()
        for _ in open_table(repository, resolve_backup(repository, chain, "latest"), TABLE).rows():
            pass

    @property
    def stored(self) -> float:
        """Megabytes of all files."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file()) / 1e6


def overhead(of: Round) -> Iterator[Measured]:
    """A full backup and the reading of all its rows (hash-checked), encrypted against plain."""
    plain = _Repository(of.place, of.place.folder / "plain", {})
    sealed = _Repository(of.place, of.place.folder / "encrypted", {"MOI_KEY_1": generate_master(os.urandom)})
    written = alternating(
        {"plain": Side(plain.back_up, plain.empty), "encrypted": Side(sealed.back_up, sealed.empty)}, repeat=of.repeat
    )
    read = alternating({"plain": Side(plain.read), "encrypted": Side(sealed.read)}, repeat=of.repeat)
    sizes = f"{sealed.stored:.1f} MB against {plain.stored:.1f}"
    yield Measured("full backup, encrypted", written["encrypted"], "s", "the same, plain", written["plain"], 1.05)
    reading = f"reading all rows, encrypted ({sizes})"
    yield Measured(reading, read["encrypted"], "s", "the same, plain", read["plain"], 1.3)
