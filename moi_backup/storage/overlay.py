"""A store seen as if some of its objects were those of another: what a repair would make of it, before it is made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from moi_backup.storage.store import ObjectInfo, ObjectMissing, Store


class OverlayStore:
    """Reads `base`, and `other` for the names in `taken`. It has the address of `base` and cannot be written."""

    def __init__(self, base: Store, other: Store) -> None:
        self._base, self._other = base, other
        self.taken: set[str] = set()

    @property
    def address(self) -> str:
        """That of the base."""
        return self._base.address

    @property
    def requests_at_once(self) -> int:
        """That of the base."""
        return self._base.requests_at_once

    def take(self, names: Iterable[str]) -> set[str]:
        """Read these from the other store from now on; those that it has."""
        found = {name for name in names if self._is_there(name)}
        self.taken |= found
        return found

    def get(self, name: str) -> bytes:
        """The whole object; raises ObjectMissing."""
        return self._of(name).get(name)

    def local(self, name: str) -> AbstractContextManager[Path]:
        """The object as a local file for reading; raises ObjectMissing."""
        return self._of(name).local(name)

    def info(self, name: str) -> ObjectInfo:
        """Size and time of one object; raises ObjectMissing."""
        return self._of(name).info(name)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose name starts with `prefix`, in name order."""
        found = {info.name: info for info in self._base.list(prefix)}
        found |= {name: self._other.info(name) for name in self.taken if name.startswith(prefix)}
        return iter(sorted(found.values()))

    def scratch(self) -> Path:
        """That of the base."""
        return self._base.scratch()

    def free_bytes(self) -> int | None:
        """That of the base."""
        return self._base.free_bytes()

    def put(self, name: str, data: bytes) -> None:
        """Refused."""
        raise self._refused(name, len(data))

    def create(self, name: str, data: bytes) -> bool:
        """Refused."""
        raise self._refused(name, len(data))

    def upload(self, name: str, file: Path) -> None:
        """Refused."""
        raise self._refused(name, file.stat().st_size)

    def delete(self, name: str) -> None:
        """Refused."""
        raise self._refused(name, 0)

    def _of(self, name: str) -> Store:
        return self._other if name in self.taken else self._base

    def _is_there(self, name: str) -> bool:
        try:
            self._other.info(name)
        except ObjectMissing:
            return False
        return True

    def _refused(self, name: str, size: int) -> TypeError:
        return TypeError(f"{name} ({size} bytes): what is only looked at is not written")
