"""Reading on when an object of one place is lost: the same object of the copy, under the same checks.

Nothing is ever written to where the object came from instead.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from threading import Lock
from typing import TypeVar

from moi_backup.errors import Damaged, MoiError, StorageError
from moi_backup.model.backup import BackupManifest
from moi_backup.model.table import Chunk, ChunkList, TableManifest, TableName
from moi_backup.repository import layout
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.reading import Unreadable
from moi_backup.repository.repository import Repository

Read = TypeVar("Read")


class Rescue:
    """What a repository cannot give is read from the copy, which is opened when it is needed for the first time.

    `warn` is told once for each object, `texts` keeps what it was told. Safe for threads side by side.
    """

    def __init__(
        self, primary: Repository, *, open_copy: Callable[[], Repository], warn: Callable[[str], None]
    ) -> None:
        self._primary, self._open_copy, self._warn = primary, open_copy, warn
        self._lock = Lock()
        self._copy: Repository | MoiError | None = None
        self._told: dict[str, str] = {}

    @property
    def texts(self) -> tuple[str, ...]:
        """One sentence for each object that was read from the copy so far."""
        return tuple(self._told.values())

    def read(self, name: str, read: Callable[[Repository], Read]) -> Read:
        """Read from the primary, else from the copy; raises what the primary raised when neither has it whole."""
        try:
            return read(self._primary)
        except (Damaged, StorageError) as error:
            found = self._from_copy(read, error)
            self._tell(name, error)
            return found

    def _from_copy(self, read: Callable[[Repository], Read], error: Unreadable) -> Read:
        with self._lock:
            self._copy = self._copy or self._opened()
            copy = self._copy
        if isinstance(copy, MoiError):
            error.meaning = f"{error.meaning} The copy cannot be read either: {copy.what}".strip()
            raise error
        try:
            return read(copy)
        except (Damaged, StorageError) as second:
            error.meaning = f"{error.meaning} Nor can the copy at {copy.store.address} give it: {second.what}".strip()
            raise error from second

    def _opened(self) -> Repository | MoiError:
        try:
            copy = self._open_copy()
        except MoiError as error:
            return error
        if copy.id == self._primary.id:
            return copy
        return MoiError(f"{copy.store.address} is the repository {copy.id}, not a copy of {self._primary.id}.")

    def _tell(self, name: str, error: Unreadable) -> None:
        why = error.detail if isinstance(error, DamagedObject) else f"cannot be read ({error.what})"
        place = self._primary.store.address
        copy = self._copy.store.address if isinstance(self._copy, Repository) else ""
        text = f"{name} in {place} {why}; it was read from the copy at {copy}."
        with self._lock:
            if name in self._told:
                return
            self._told[name] = text
        self._warn(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class RescuedRepository(Repository):
    """A repository for reading alone: every object it lacks comes from the copy. Whoever writes opens a plain one."""

    rescue: Rescue

    def read_backup(self, backup: str, *, stored: str) -> BackupManifest:
        """The manifest of a backup, whose bytes must have the blake3 `stored` (from the chain)."""
        return self.rescue.read(layout.backup_name(backup), lambda place: place.read_backup(backup, stored=stored))

    def read_table(self, digest: str) -> TableManifest:
        """The table manifest with this digest."""
        return self.rescue.read(layout.table_name(digest), lambda place: place.read_table(digest))

    def read_chunk_list(self, digest: str) -> ChunkList:
        """The chunk list with this digest."""
        return self.rescue.read(layout.table_name(digest), lambda place: place.read_chunk_list(digest))

    @contextmanager
    def open_chunk(self, table: TableName, chunk: Chunk, *, check_hash: bool = True) -> Generator[Path]:
        """The chunk as a local file, after its size and (unless told not to) the hash of its bytes were checked."""
        with ExitStack() as opened:
            yield self.rescue.read(
                layout.chunk_name(table, chunk),
                lambda place: opened.enter_context(place.open_chunk(table, chunk, check_hash=check_hash)),
            )

    @contextmanager
    def open_file(self, digest: str, *, size: int) -> Generator[Path]:
        """A whole file as a local file, after its size and hash were checked."""
        with ExitStack() as opened:
            yield self.rescue.read(
                layout.file_name(digest), lambda place: opened.enter_context(place.open_file(digest, size=size))
            )


def rescued(
    primary: Repository, *, open_copy: Callable[[], Repository], warn: Callable[[str], None]
) -> RescuedRepository:
    """The repository with the copy behind it."""
    known = {field.name: getattr(primary, field.name) for field in fields(primary)}
    return RescuedRepository(**known, rescue=Rescue(primary, open_copy=open_copy, warn=warn))
