"""Objects in the memory of this process: for tests and for models of the repository; nothing in it is durable."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from moi_backup.storage.naming import check_name
from moi_backup.storage.store import ObjectInfo, ObjectMissing


class MemoryStore:
    """A `Store` in a dictionary; `scratch` is the folder for files, `clock` gives seconds since the epoch."""

    def __init__(self, *, scratch: Path, clock: Callable[[], float]) -> None:
        self._objects: dict[str, tuple[bytes, float]] = {}
        self._lock = Lock()
        self._scratch = scratch
        self._clock = clock
        self._opened = 0

    @property
    def address(self) -> str:
        """Says that nothing is kept."""
        return "memory"

    @property
    def requests_at_once(self) -> int:
        """1: nothing waits."""
        return 1

    def get(self, name: str) -> bytes:
        """The whole object; raises ObjectMissing."""
        try:
            return self._objects[check_name(name)][0]
        except KeyError as error:
            raise ObjectMissing(name) from error

    def put(self, name: str, data: bytes) -> None:
        """Write or replace."""
        with self._lock:
            self._objects[check_name(name)] = (bytes(data), self._clock())

    def create(self, name: str, data: bytes) -> bool:
        """Write only if nothing has this name."""
        with self._lock:
            if check_name(name) in self._objects:
                return False
            self._objects[name] = (bytes(data), self._clock())
            return True

    def upload(self, name: str, file: Path) -> None:
        """Take the bytes of a local file and remove it."""
        self.put(name, file.read_bytes())
        file.unlink()

    @contextmanager
    def local(self, name: str) -> Generator[Path]:
        """A copy in the scratch folder, removed at the end; raises ObjectMissing."""
        data = self.get(name)
        with self._lock:
            self._opened += 1
            path = self.scratch() / f"local-{self._opened}"
        path.write_bytes(data)
        try:
            yield path
        finally:
            path.unlink()

    def info(self, name: str) -> ObjectInfo:
        """Size and time of one object; raises ObjectMissing."""
        try:
            data, modified = self._objects[check_name(name)]
        except KeyError as error:
            raise ObjectMissing(name) from error
        return ObjectInfo(name, len(data), modified)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose name starts with `prefix`, in name order."""
        with self._lock:
            found = sorted((name, value) for name, value in self._objects.items() if name.startswith(prefix))
        return iter([ObjectInfo(name, len(data), modified) for name, (data, modified) in found])

    def delete(self, name: str) -> None:
        """Remove; no error when it is absent."""
        with self._lock:
            self._objects.pop(check_name(name), None)

    def scratch(self) -> Path:
        """The folder given at the start."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        return self._scratch

    def free_bytes(self) -> None:
        """There is no limit to ask for."""
        return
