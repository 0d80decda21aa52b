"""The interface of a place where repository objects live.

Names are relative, `/`-separated and already percent-encoded (`moi_backup.repository.layout`). Every write that
returns is durable. One conformance suite (`tests/engine/storage`) holds every implementation to what is said here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol


class ObjectInfo(NamedTuple):
    """A stored object: name, bytes, and the store's own time of its last write (seconds since the epoch)."""

    name: str
    size: int
    modified: float


class ObjectMissing(LookupError):
    """No object has this name."""


class Store(Protocol):
    """Named byte strings. Failures of the medium raise StorageError."""

    @property
    def address(self) -> str:
        """Where it is, as a person would write it, without secrets."""
        ...

    @property
    def requests_at_once(self) -> int:
        """How many requests side by side it answers faster than one after another; 1 where nothing waits."""
        ...

    def get(self, name: str) -> bytes:
        """The whole object; raises ObjectMissing."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Write or replace atomically."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Write only if nothing has this name; False (and nothing changed) when something has."""
        ...

    def upload(self, name: str, file: Path) -> None:
        """Write or replace atomically from a local file, which is consumed (moved or removed)."""
        ...

    def local(self, name: str) -> AbstractContextManager[Path]:
        """The object as a local file for reading, valid inside the context; raises ObjectMissing."""
        ...

    def info(self, name: str) -> ObjectInfo:
        """Size and time of one object; raises ObjectMissing."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose name starts with `prefix` (a folder ends with `/`), in name order."""
        ...

    def delete(self, name: str) -> None:
        """Remove; no error when it is absent."""
        ...

    def scratch(self) -> Path:
        """A local folder for temporary files, on the store's own file system where it has one."""
        ...

    def free_bytes(self) -> int | None:
        """Free space in bytes, or None where there is no limit to ask for."""
        ...
