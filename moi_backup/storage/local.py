"""Objects as files below a local folder.

A write goes to a temporary file below `tmp/`, is synced, gets its name by link or rename, and the folder is synced
(docs/format.md, "Writing and deleting"): killed at any moment it leaves the old object or the new one, and at most a
file in `tmp/`.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from moi_backup.errors import StorageError
from moi_backup.storage.naming import TEMPORARY, check_name
from moi_backup.storage.store import ObjectInfo, ObjectMissing

FOLDER_MODE = 0o700
FILE_MODE = 0o600
_COPY_BYTES = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


class LocalStore:
    """A `Store` in a folder, made (mode 0700) by the first write. Safe for threads and processes side by side."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._settled: set[Path] = set()

    @property
    def address(self) -> str:
        """The folder's absolute path."""
        return str(self._root)

    @property
    def requests_at_once(self) -> int:
        """1: calls of the operating system answer at once, and threads would only wait for each other."""
        return 1

    def get(self, name: str) -> bytes:
        """The whole object; raises ObjectMissing."""
        # Not by `_reading`: a history is thousands of small objects, and its context costs more than reading one.
        path = f"{self._root}/{check_name(name)}"
        try:
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - as above
                return file.readall()
        except _ABSENT as error:
            raise ObjectMissing(name) from error
        except OSError as error:
            raise storage_error(error, verb="read", name=name, address=self.address) from error

    def put(self, name: str, data: bytes) -> None:
        """Write or replace atomically."""
        with self._writing(name) as target, self._temporary(data) as temporary:
            self._settle(target.parent)
            temporary.replace(target)
            _sync_folder(target.parent)

    def create(self, name: str, data: bytes) -> bool:
        """Write only if nothing has this name; False (and nothing changed) when something has."""
        with self._writing(name) as target, self._temporary(data) as temporary:
            self._settle(target.parent)
            try:
                os.link(temporary, target)
            except FileExistsError:
                return False
            _sync_folder(target.parent)
            return True

    def upload(self, name: str, file: Path) -> None:
        """Write or replace atomically from a local file: moved, or copied and removed from another file system."""
        with self._writing(name) as target:
            self._settle(target.parent)
            try:
                _settle_file(file)
                file.replace(target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                self._copy(file, target)
            _sync_folder(target.parent)

    @contextmanager
    def local(self, name: str) -> Generator[Path]:
        """The object's own file, for reading only; raises ObjectMissing."""
        with self._reading(name) as path:
            if not path.is_file():
                raise ObjectMissing(name)
        yield path

    def info(self, name: str) -> ObjectInfo:
        """Size and modification time of one object; raises ObjectMissing."""
        with self._reading(name) as path:
            if not path.is_file():
                raise ObjectMissing(name)
            status = path.stat()
        return ObjectInfo(name, status.st_size, status.st_mtime)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose name starts with `prefix`, in name order; temporary files are no objects."""
        folder, _, _ = prefix.rpartition("/")
        if folder:
            check_name(folder)
        with self._failing("list", prefix):
            for info in self._walk(self._root / folder, f"{folder}/" if folder else ""):
                if info.name.startswith(prefix):
                    yield info

    def delete(self, name: str) -> None:
        """Remove; no error when it is absent."""
        path = self._root / check_name(name)
        with self._failing("delete", name):
            try:
                path.unlink()
            except (FileNotFoundError, NotADirectoryError):
                return
            _sync_folder(path.parent)

    def scratch(self) -> Path:
        """The folder `tmp/` of the store."""
        folder = self._root / TEMPORARY
        with self._failing("write", TEMPORARY):
            self._settle(folder)
        return folder

    def free_bytes(self) -> int:
        """Bytes an ordinary user can still write on the folder's file system."""
        with self._failing("measure", ""):
            existing = next(place for place in (self._root, *self._root.parents) if place.exists())
            status = os.statvfs(existing)
        return status.f_bavail * status.f_frsize

    @contextmanager
    def _reading(self, name: str) -> Generator[Path]:
        path = self._root / check_name(name)
        with self._failing("read", name):
            try:
                yield path
            except _ABSENT as error:
                raise ObjectMissing(name) from error

    @contextmanager
    def _writing(self, name: str) -> Generator[Path]:
        path = self._root / check_name(name)
        with self._failing("write", name):
            yield path

    @contextmanager
    def _failing(self, verb: str, name: str) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise storage_error(error, verb=verb, name=name, address=self.address) from error

    @contextmanager
    def _temporary(self, data: bytes) -> Generator[Path]:
        """A synced file below `tmp/` that holds the data; whatever is left of it is removed at the end."""
        path = self._fresh_temporary()
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb") as file:
                file.write(data)
                file.flush()
                _sync(file.fileno())
            yield path
        finally:
            with suppress(FileNotFoundError):
                path.unlink()

    def _fresh_temporary(self) -> Path:
        self._settle(self._root / TEMPORARY)
        return self._root / TEMPORARY / f"{os.getpid()}-{os.urandom(8).hex()}"

    def _copy(self, file: Path, target: Path) -> None:
        with self._temporary(b"") as temporary:
            with file.open("rb") as source, temporary.open("wb") as copy:
                while block := source.read(_COPY_BYTES):
                    copy.write(block)
                copy.flush()
                _sync(copy.fileno())
            temporary.replace(target)
        file.unlink()

    def _settle(self, folder: Path) -> None:
        """Make a folder and its parents; synced once per process, for a killed one may have made them only."""
        if folder in self._settled:
            return
        if folder == self._root:
            _make_root(folder)
        else:
            self._settle(folder.parent)
            folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
            _sync_folder(folder.parent)
        self._settled.add(folder)

    def _walk(self, folder: Path, below: str) -> Iterator[ObjectInfo]:
        """Depth first in name order: a folder sorts by its name with the slash, as the names of its objects do."""
        try:
            with os.scandir(folder) as scan:
                entries = [(f"{below}{entry.name}{'/' if entry.is_dir() else ''}", entry) for entry in scan]
        except (FileNotFoundError, NotADirectoryError):
            return
        for name, entry in sorted(entries, key=lambda pair: pair[0]):
            if name == f"{TEMPORARY}/":
                continue
            if name.endswith("/"):
                yield from self._walk(Path(entry.path), name)
                continue
            with suppress(FileNotFoundError):  # deleted since the folder was read
                status = entry.stat()
                yield ObjectInfo(name, status.st_size, status.st_mtime)


def storage_error(error: OSError, *, verb: str, name: str, address: str) -> StorageError:
    """The error a user sees for a failed call of the operating system, with what to do about it."""
    if error.errno in _FULL:
        remedy = (
            "Free space there (or raise the quota) and run the command again; what was written so far does no harm."
        )
    elif error.errno in _REFUSED and verb in ("write", "delete"):
        remedy = "Run as the user who owns the repository, on a file system that is writable and knows hard links."
    elif error.errno in _REFUSED:
        remedy = "Run as the user who owns the repository."
    else:
        remedy = "See that the disk is mounted and healthy, then run the command again."
    reason = error.strerror or type(error).__name__
    return StorageError(
        f"Could not {verb} {name or 'the repository'} in {address}: {reason}.",
        meaning="The repository is as it was before this step.",
        remedy=remedy,
    )


def _make_root(root: Path) -> None:
    missing = [place for place in (root, *root.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(mode=FOLDER_MODE if place == root else 0o777, exist_ok=True)
        _sync_folder(place.parent)


def _settle_file(file: Path) -> None:
    """Sync a file that is about to become an object; its time becomes now, for `modified` is when the store got it."""
    file.chmod(FILE_MODE)
    os.utime(file)
    with file.open("rb") as opened:
        _sync(opened.fileno())


def _sync(descriptor: int) -> None:
    """Force to the medium; macOS needs its own call for what fsync means elsewhere."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is None:
        os.fsync(descriptor)
        return
    try:
        fcntl.fcntl(descriptor, full)
    except OSError:  # network file systems on macOS know fsync only
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # CIFS and some FUSE file systems: folders cannot be synced, nor need they
            raise
    finally:
        os.close(descriptor)
