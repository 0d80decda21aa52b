"""A database that is protected into a repository in a folder: what the tests of the engine's operations work with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from moi_backup.model.backup import BackupManifest
from moi_backup.model.restore import RestoreRequest, RestoreResult
from moi_backup.operations.progress import Progress
from moi_backup.operations.restore import restore
from moi_backup.operations.take_backup import BackupRequest, BackupResult, take_backup
from moi_backup.operations.workspace import Workspace
from moi_backup.repository import repository
from moi_backup.repository.backups import read_backups
from moi_backup.repository.verify import Fault, verify_structure
from moi_backup.settings import read_settings


@dataclass(frozen=True, slots=True)
class Deployment:
    """`url` is the protected database; `folder` holds the repository, the state and moi.toml.

    `keys` are the `MOI_KEY_<n>` of its processes.
    """

    url: str
    folder: Path
    keys: Mapping[str, str] = field(default_factory=dict[str, str], kw_only=True)

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a process that works here."""
        return {
            "MOI_SOURCE_URL": self.url,
            "MOI_REPOSITORY": str(self.folder / "repository"),
            "MOI_STATE": str(self.folder / "state"),
            "MOI_CONFIG": str(self.folder / "moi.toml"),
            **self.keys,
        }

    @property
    def workspace(self) -> Workspace:
        """A workspace under the present configuration."""
        return Workspace(read_settings(self.environ, cwd=self.folder, effective_uid=1))

    def configure(self, text: str) -> None:
        """Write moi.toml. Without any `[tables]` all ordinary tables of the schema are protected."""
        (self.folder / "moi.toml").write_text(text)

    def initialise(self) -> None:
        """Create the repository."""
        workspace = self.workspace
        keys = workspace.settings.keys
        repository.create(workspace.store(), now=workspace.clock.now(), entropy=os.urandom, keys=keys)

    def sql(self, text: str, *, url: str | None = None) -> list[tuple[Any, ...]]:
        """Run statements (each on its own, several as one transaction); the rows of the last one, if it has any."""
        with psycopg.connect(url or self.url, autocommit=True) as conn:
            cursor = conn.execute(text.encode())
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []

    def back_up(self, *, progress: Progress | None = None, **request: Any) -> BackupResult:
        """Take a backup."""
        return take_backup(self.workspace, BackupRequest(**request), progress=progress)

    def restore(self, url: str | None = None, *, backup: str = "latest", **request: Any) -> RestoreResult:
        """Restore into a database, by default the protected one."""
        return restore(self.workspace, url or self.url, RestoreRequest(backup=backup, **request))

    def restore_in_place(self, *, backup: str = "latest", **request: Any) -> RestoreResult:
        """Replace live rows by those of a backup."""
        return self.restore(backup=backup, in_place=True, on_conflict="replace", reason="a test", **request)

    def backups(self) -> list[BackupManifest]:
        """The manifests of all listed backups, oldest first."""
        return list(read_backups(*self.workspace.history()))

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """The objects of the repository by name, leases and temporary files left out."""
        store = self.workspace.store()
        return {info.name: store.get(info.name) for info in store.list(prefix) if not info.name.startswith("leases/")}

    def faults(self) -> list[Fault]:
        """What a verification of the structure finds."""
        return verify_structure(self.workspace.open())
