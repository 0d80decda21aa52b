"""A deployment with a copy of its repository, and the ways in which objects are damaged."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from moi_backup.model.table import Chunk, TableName
from moi_backup.operations.copy_repository import CopyResult, copy_repository
from moi_backup.operations.stored_table import open_table
from moi_backup.repository.layout import chunk_name
from tests.engine.conftest import Server
from tests.engine.deployment import Deployment
from tests.engine.shop import backed_up_shop

META = TableName("public", "meta_import_data")


@dataclass(frozen=True, slots=True)
class CopiedDeployment(Deployment):
    """A deployment whose repository has its configured copy in the folder `copy` beside it."""

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a process that works here."""
        plain = Deployment(self.url, self.folder, keys=self.keys).environ
        return {**plain, "MOI_REPOSITORY_COPY": str(self.folder / "copy")}

    def copy(self, **options) -> CopyResult:
        """Make or refresh the copy."""
        return copy_repository(self.workspace, **options)

    def in_copy(self) -> dict[str, bytes]:
        """The objects of the copy by name, leases left out."""
        store = self.workspace.copy_store()
        return {info.name: store.get(info.name) for info in store.list("") if not info.name.startswith("leases/")}

    def chunks(self, table: TableName = META) -> list[str]:
        """The names of a table's chunks in the newest backup."""
        return [chunk_name(table, chunk) for chunk in self.chunk_entries(table)]

    def chunk_entries(self, table: TableName = META) -> list[Chunk]:
        """The chunks of a table in the newest backup."""
        return open_table(self.workspace.open(), self.backups()[-1], table).chunks()

    def chunks_of_store(self) -> list[str]:
        """The names of all stored chunks, for a repository that cannot be opened."""
        return sorted(name for name in self.objects("chunks/"))

    def file(self, name: str) -> Path:
        """Where an object of the repository lies."""
        return self.folder / "repository" / name

    def copied_file(self, name: str) -> Path:
        """Where it lies in the copy."""
        return self.folder / "copy" / name


def flip(file: Path) -> None:
    """Turn one bit in the middle."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def cut(file: Path) -> None:
    """Cut the last byte off."""
    file.write_bytes(file.read_bytes()[:-1])


def remove(file: Path) -> None:
    """Remove it."""
    file.unlink()


def block(file: Path) -> None:
    """Put a folder in its place, which no read gets through."""
    file.unlink()
    file.mkdir()


@contextmanager
def backed_up_and_copied_shop(server: Server, folder: Path) -> Iterator[CopiedDeployment]:
    """The shop with one full backup and its copy, for tests that work on files of their own (`on_own_files`)."""
    with backed_up_shop(server, folder) as shop:
        made = CopiedDeployment(shop.url, shop.folder)
        made.copy()
        yield made


def on_own_files(shop: CopiedDeployment, folder: Path) -> CopiedDeployment:
    """The same shop with a repository and a copy that may be damaged."""
    for name in ("repository", "copy"):
        shutil.copytree(shop.folder / name, folder / name)
    made = CopiedDeployment(shop.url, folder)
    made.configure("")
    return made


DAMAGES: dict[str, Callable[[Path], None]] = {"flip": flip, "cut": cut, "remove": remove, "block": block}
