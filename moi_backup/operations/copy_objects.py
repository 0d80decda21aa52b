"""Objects from one store to another: in parallel, in bounded memory, each verified by its hash before it is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from blake3 import blake3

from moi_backup.errors import StorageError
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.name_checks import NameChecks
from moi_backup.storage.local import storage_error
from moi_backup.storage.store import ObjectInfo, ObjectMissing, Store

ON_DISKS = 4  # objects on their way at a time, at least
_SMALL = 1 << 20
_BLOCK = 1 << 20


class NotCopied(msgspec.Struct, frozen=True, kw_only=True):
    """An object that the source could not give whole, and why."""

    object: str
    detail: str


@dataclass(frozen=True, slots=True)
class ObjectCopier:
    """Copies objects by name; `scratch` is a folder for files on their way, on the target's file system."""

    source: Store
    target: Store
    checks: NameChecks
    scratch: Path

    def copy(self, objects: Sequence[ObjectInfo], *, done: Callable[[ObjectInfo], None]) -> list[NotCopied]:
        """Copy all of them, `done` is told of each; those the source cannot give whole are in the result.

        Raises StorageError when the target refuses a write; what was copied by then stays.
        """
        refused: list[NotCopied] = []
        with ThreadPoolExecutor(self._threads, thread_name_prefix="copy") as pool:
            for info, future in _bounded(pool, objects, self._copied, ahead=2 * self._threads):
                detail = future.result()
                if detail:
                    refused.append(NotCopied(object=info.name, detail=detail))
                done(info)
        return refused

    @property
    def _threads(self) -> int:
        return max(self.source.requests_at_once, self.target.requests_at_once, ON_DISKS)

    def _copied(self, info: ObjectInfo) -> str:
        """Copy one; what is wrong with the source's object, or "" when it was copied."""
        try:
            with self._fetched(info) as fetched:
                if isinstance(fetched, bytes):
                    self.target.put(info.name, fetched)
                else:
                    self.target.upload(info.name, fetched)
        except _Refused as error:
            return str(error)
        return ""

    @contextmanager
    def _fetched(self, info: ObjectInfo) -> Generator[bytes | Path]:
        """The verified bytes; those of a large object in a file. Raises _Refused when they cannot be had whole."""
        if info.size <= _SMALL:
            yield self._read(info)
            return
        path = self.scratch / f"{os.getpid()}-{os.urandom(8).hex()}"
        try:
            self._download(info, path)
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _read(self, info: ObjectInfo) -> bytes:
        with _refusing():
            data = self.source.get(info.name)
            self.checks.require(info.name, data)
            return data

    def _download(self, info: ObjectInfo, path: Path) -> None:
        """Into a file of the target's file system; the hash is that of the very bytes that were written."""
        hasher = blake3()
        try:
            with path.open("xb") as writing:
                for block in _blocks(self.source, info.name):
                    hasher.update(block)
                    writing.write(block)
        except OSError as error:
            raise storage_error(error, verb="write", name=info.name, address=self.target.address) from error
        with _refusing():
            if not self.checks.require_hash(info.name, hasher.hexdigest()):
                self.checks.require(info.name, path.read_bytes())


class _Refused(Exception):
    """The source does not have the object whole."""


@contextmanager
def _refusing() -> Generator[None]:
    try:
        yield
    except ObjectMissing as error:
        raise _Refused("is not there any more") from error
    except DamagedObject as error:
        raise _Refused(error.detail) from error
    except StorageError as error:
        raise _Refused(f"cannot be read ({error.what})") from error
    except OSError as error:
        raise _Refused(f"cannot be read ({error.strerror})") from error


def _blocks(source: Store, name: str) -> Iterator[bytes]:
    with _refusing(), source.local(name) as path, path.open("rb") as reading:
        while block := reading.read(_BLOCK):
            yield block


def _bounded(
    pool: ThreadPoolExecutor, objects: Sequence[ObjectInfo], job: Callable[[ObjectInfo], str], *, ahead: int
) -> Iterator[tuple[ObjectInfo, Future[str]]]:
    """Futures in the order of the objects, at most `ahead` of them begun; those not begun are dropped at an error."""
    waiting: list[tuple[ObjectInfo, Future[str]]] = []
    try:
        for info in objects:
            waiting.append((info, pool.submit(job, info)))
            if len(waiting) >= ahead:
                yield waiting.pop(0)
        while waiting:
            yield waiting.pop(0)
    finally:
        for _, future in waiting:
            future.cancel()
