"""A real store that misbehaves as a test says: what it is asked and what it answers pass through a `Fault`.

Faults of the network before a bucket are in `faulty_proxy`; here are those of any medium below the store's interface.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import NamedTuple, TypeVar
from uuid import uuid4

from moi_backup.errors import StorageError
from moi_backup.operations.workspace import Workspace
from moi_backup.settings import RepositorySetting
from moi_backup.storage.store import ObjectInfo, Store

READS = ("get", "local")
WRITES = ("put", "create", "upload")
BALLAST = "ballast"
Result = TypeVar("Result")


class Call(NamedTuple):
    """A call of the store: its method, the object's name, and its number (from 1) among the calls that count."""

    method: str
    name: str
    number: int


class Fault:
    """Nothing is wrong. Counts calls of the methods in `counted` (empty: of all); `seen` are those counted.

    `folder` is where the store lies, for a fault of the disk below it.
    """

    counted: tuple[str, ...] = ()
    folder = Path()

    def __init__(self) -> None:
        self.seen: list[Call] = []
        self._lock = Lock()

    def note(self, method: str, name: str) -> Call:
        """Number a call."""
        with self._lock:
            counts = not self.counted or method in self.counted
            call = Call(method, name, len(self.seen) + 1 if counts else 0)
            if counts:
                self.seen.append(call)
            return call

    def before(self, call: Call) -> None:
        """May raise or wait before the call is carried out."""

    def after(self, call: Call) -> None:
        """May raise when the call has been carried out: its answer is lost."""

    def bytes(self, call: Call, data: bytes) -> bytes:
        """What is read instead of the object's bytes."""
        return data

    def named(self, name: str) -> str:
        """The object that is read instead of the one asked for."""
        return name

    def described(self, info: ObjectInfo) -> ObjectInfo:
        """What is told instead of an object's size and time."""
        return info

    def listed(self, infos: Iterable[ObjectInfo]) -> Iterable[ObjectInfo]:
        """What is listed instead."""
        return [self.described(info) for info in infos]


class FaultyStore:
    """A `Store` over another one."""

    def __init__(self, inner: Store, fault: Fault) -> None:
        self._inner, self._fault = inner, fault

    @property
    def address(self) -> str:
        """That of the store below."""
        return self._inner.address

    @property
    def requests_at_once(self) -> int:
        """That of the store below."""
        return self._inner.requests_at_once

    def get(self, name: str) -> bytes:
        """Perhaps other bytes than were stored."""
        call, data = self._do("get", name, lambda: self._inner.get(self._fault.named(name)))
        return self._fault.bytes(call, data)

    def put(self, name: str, data: bytes) -> None:
        """Perhaps an error instead, or besides."""
        self._do("put", name, lambda: self._inner.put(name, data))

    def create(self, name: str, data: bytes) -> bool:
        """As `put`."""
        return self._do("create", name, lambda: self._inner.create(name, data))[1]

    def upload(self, name: str, file: Path) -> None:
        """As `put`."""
        self._do("upload", name, lambda: self._inner.upload(name, file))

    @contextmanager
    def local(self, name: str) -> Generator[Path]:
        """A copy with perhaps other bytes than were stored."""
        call, data = self._do("local", name, lambda: self._inner.get(self._fault.named(name)))
        copy = self._inner.scratch() / f"faulty-{uuid4().hex}"
        copy.write_bytes(self._fault.bytes(call, data))
        try:
            yield copy
        finally:
            copy.unlink()

    def info(self, name: str) -> ObjectInfo:
        """Perhaps another time."""
        _, info = self._do("info", name, lambda: self._inner.info(self._fault.named(name)))
        return self._fault.described(info._replace(name=name))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Perhaps too many objects, or too few."""
        _, infos = self._do("list", prefix, lambda: list(self._inner.list(prefix)))
        return iter(sorted(info for info in self._fault.listed(infos) if info.name.startswith(prefix)))

    def delete(self, name: str) -> None:
        """As `put`."""
        self._do("delete", name, lambda: self._inner.delete(name))

    def scratch(self) -> Path:
        """That of the store below."""
        return self._inner.scratch()

    def free_bytes(self) -> int | None:
        """Those of the store below."""
        return self._inner.free_bytes()

    def _do(self, method: str, name: str, carry_out: Callable[[], Result]) -> tuple[Call, Result]:
        call = self._fault.note(method, name)
        self._fault.before(call)
        result = carry_out()
        self._fault.after(call)
        return call, result


@dataclass(frozen=True)
class FaultyWorkspace(Workspace):
    """A workspace whose repository and copy lie in faulty stores."""

    fault: Fault = field(default_factory=Fault)

    def store(self) -> Store:
        """The repository's store behind the fault."""
        return FaultyStore(super().store(), self.fault)

    def copy_store(self, place: RepositorySetting | None = None) -> Store:
        """The copy's store behind the same fault."""
        return FaultyStore(super().copy_store(place), self.fault)


class FailingCall(Fault):
    """One call fails, or all from it on (`for_good`); `carried_out`: the medium did it and only the answer is lost."""

    def __init__(self, number: int, *, for_good: bool = False, carried_out: bool = False) -> None:
        super().__init__()
        self._number, self._for_good, self._carried_out = number, for_good, carried_out

    def before(self, call: Call) -> None:
        if not self._carried_out:
            self._fail(call)

    def after(self, call: Call) -> None:
        if self._carried_out:
            self._fail(call)

    def _fail(self, call: Call) -> None:
        if call.number == self._number or (self._for_good and call.number > self._number):
            raise StorageError(
                f"Could not {call.method} {call.name or 'the repository'}: the medium failed.",
                meaning="It is not known whether this step was carried out."
                if self._carried_out
                else "Nothing changed.",
                remedy="See to the medium, then run the command again.",
            )


class AlteredRead(Fault):
    """One read gives other bytes than are stored, once."""

    counted = READS

    def __init__(self, number: int, alter: Callable[[bytes], bytes]) -> None:
        super().__init__()
        self._number, self._alter = number, alter

    def bytes(self, call: Call, data: bytes) -> bytes:
        return self._alter(data) if call.number == self._number else data


def flipped(data: bytes) -> bytes:
    """One bit in the middle is another."""
    if not data:
        return b"\x01"
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def shortened(data: bytes) -> bytes:
    """The last byte did not come."""
    return data[:-1]


def halved(data: bytes) -> bytes:
    """Only half of it came."""
    return data[: len(data) // 2]


def emptied(data: bytes) -> bytes:
    """Nothing of it came, as of a file whose size was stored and whose bytes were not."""
    return b""


class FilledDisk(Fault):
    """Before one write something else takes all the room that is left on the disk, and keeps it."""

    counted = WRITES

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def before(self, call: Call) -> None:
        if call.number != self._number:
            return
        with suppress(OSError), (self.folder / BALLAST).open("wb", buffering=0) as ballast:
            while ballast.write(b"\0" * 4096):
                pass


FAULTS: dict[str, Callable[[int], Fault]] = {
    "a call fails": FailingCall,
    "every call fails from one on": partial(FailingCall, for_good=True),
    "the answer of a call is lost": partial(FailingCall, carried_out=True),
    "a bit is flipped": partial(AlteredRead, alter=flipped),
    "a read is short": partial(AlteredRead, alter=shortened),
    "a read is cut in half": partial(AlteredRead, alter=halved),
    "a read is empty": partial(AlteredRead, alter=emptied),
    "the disk is full": FilledDisk,
}
"""What can befall the n-th call that counts."""


class Exchanged(Fault):
    """Objects are read under each other's names."""

    def __init__(self, names: Mapping[str, str]) -> None:
        super().__init__()
        self._names = dict(names)

    def named(self, name: str) -> str:
        return self._names.get(name, name)


class StaleListing(Fault):
    """A listing shows what was there at a moment: nothing created since, everything deleted since."""

    def __init__(self, then: Iterable[ObjectInfo]) -> None:
        super().__init__()
        self._then = list(then)

    def listed(self, infos: Iterable[ObjectInfo]) -> Iterable[ObjectInfo]:
        return self._then


class ShiftedTimes(Fault):
    """The store's clock is so many seconds ahead."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def described(self, info: ObjectInfo) -> ObjectInfo:
        return info._replace(modified=info.modified + self._seconds)


class SlowCalls(Fault):
    """The first calls take a while, the others do not."""

    def __init__(self, count: int, seconds: float) -> None:
        super().__init__()
        self._count, self._seconds = count, seconds

    def before(self, call: Call) -> None:
        if call.number <= self._count:
            time.sleep(self._seconds)
