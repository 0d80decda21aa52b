"""Leases: one writer at a time, and the safe takeover from one that died (docs/format.md, "Leases").

The epoch is the fencing token: who finds a higher one than the own has lost the lease, whatever it believes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from threading import Event, Thread
from types import TracebackType
from typing import Literal, Self

import msgspec

from moi_backup.errors import Locked, MoiError, NoRepository, StorageError
from moi_backup.repository import documents, layout
from moi_backup.repository.clock import Clock
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.identity import Identity, is_gone
from moi_backup.storage.store import ObjectInfo, ObjectMissing, Store

TTL_SECONDS = 60.0
BEATS_PER_TTL = 6
_POLL_SECONDS = 1.0
_LOST_RACES = 10


class LeaseDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who holds an epoch of a lease, for what, and since when."""

    epoch: int
    host: str
    boot: str
    pid: int
    process_started: str
    operation: str
    ttl_seconds: float
    at: str
    format: int = documents.FORMAT

    @property
    def identity(self) -> Identity:
        """The holder's process."""
        return Identity(self.host, self.boot, self.pid, self.process_started)

    def __str__(self) -> str:
        return f"{self.operation} by process {self.pid} on {self.host} since {self.at}"


class Beat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The heartbeat of an epoch."""

    count: int
    state: Literal["held", "released"]


class Lease:
    """A lease that is held, renewed by a thread of its own until it is released; a context manager that releases."""

    def __init__(self, store: Store, name: str, document: LeaseDocument, *, clock: Clock, renewed: float) -> None:
        self._store, self._name, self._document, self._clock = store, name, document, clock
        self._renewed = renewed
        self._count = 0
        self._failure = ""
        self._released = False
        self._stop = Event()
        self._thread = Thread(target=self._renew, name=f"lease {name}", daemon=True)
        self._thread.start()

    @property
    def epoch(self) -> int:
        """The fencing token."""
        return self._document.epoch

    def assert_held(self) -> None:
        """Raises Locked unless this is the highest epoch and its heartbeat was written within the time to live."""
        highest = _highest_epoch(self._store, self._name)
        if highest > self.epoch:
            raise self._lost(f"{_holder_text(self._store, self._name, highest)} has taken it over")
        if highest < self.epoch:
            raise self._lost("its object was deleted")
        if self._released:
            raise self._lost("it was released")
        silent = self._clock.monotonic() - self._renewed
        if silent >= self._document.ttl_seconds:
            raise self._lost(f"its heartbeat could not be written for {silent:.0f} s {self._failure}".rstrip())

    def taken_at(self) -> float:
        """When it was taken by the store's own time, in seconds since the epoch; raises Locked when it is lost."""
        try:
            return self._store.info(layout.lease_name(self._name, self.epoch)).modified
        except ObjectMissing:
            raise self._lost("its object was deleted") from None

    def release(self) -> None:
        """Let the next one in at once; no error when it was released or lost before. Raises StorageError."""
        self._stop.set()
        self._thread.join(self._document.ttl_seconds)
        if self._thread.is_alive():
            raise StorageError(
                f"The lease {self._name!r} could not be released: {self._store.address} does not answer.",
                meaning=f"It runs out by itself within {self._document.ttl_seconds:.0f} s.",
            )
        if self._released or _highest_epoch(self._store, self._name) != self.epoch:
            return
        self._write("released")
        self._released = True

    def end(self, tell: Callable[[str], None]) -> None:
        """Release it when the work is done: that this fails is told, not raised, for it undoes nothing."""
        try:
            self.release()
        except StorageError as failure:
            self._released = True
            told = f"the lease {self._name} could not be released and runs out by itself. {failure.what}"
            tell(f"All is done, but {told}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.release()
        except StorageError as failure:
            if error is None:
                raise
            error.add_note(
                f"Besides, the lease {self._name} could not be released and runs out by itself. {failure.what}"
            )

    def _renew(self) -> None:
        while not self._stop.wait(self._document.ttl_seconds / BEATS_PER_TTL):
            started = self._clock.monotonic()
            try:
                if _highest_epoch(self._store, self._name) != self.epoch:
                    return
                self._write("held")
            except StorageError as error:
                self._failure = f"({error.what})"  # assert_held says so once it has lasted too long
            else:
                self._renewed = started

    def _write(self, state: Literal["held", "released"]) -> None:
        self._count += 1
        beat = Beat(count=self._count, state=state)
        self._store.put(layout.beat_name(self._name, self.epoch), documents.encode_document(beat))

    def _lost(self, why: str) -> Locked:
        return Locked(
            f"The lease {self._name!r} was lost: {why}.",
            meaning="Another operation may be writing, so this one stopped before it published anything.",
            remedy="Run it again.",
        )


class _Watch:
    """What one waiting process saw of the present holder, timed on its own monotonic clock."""

    def __init__(self, store: Store, name: str, *, clock: Clock, own: Identity) -> None:
        self._store, self._name, self._clock, self._own = store, name, clock, own
        self._seen: tuple[int, bytes | None] = (0, None)
        self._since = clock.monotonic()

    def is_free(self, epoch: int, document: LeaseDocument) -> bool:
        """Whether it was released, its holder is dead, or its beat has not changed for its whole time to live."""
        before = self._clock.monotonic()  # only time between two readings counts, whatever stopped this process since
        name = layout.beat_name(self._name, epoch)
        beat = _get(self._store, name)
        if (epoch, beat) != self._seen:
            self._seen, self._since = (epoch, beat), self._clock.monotonic()
        if beat is not None and _decoded(self._store, beat, Beat, name=name).state == "released":
            return True
        return is_gone(document.identity, own=self._own) or before - self._since >= document.ttl_seconds

    def patience(self, epoch: int, document: LeaseDocument) -> float:
        """Seconds worth waiting unasked: the time to live when the store's time hints at a dead holder, else 0."""
        with suppress(ObjectMissing):
            named = layout.lease_name if self._seen[1] is None else layout.beat_name
            modified = self._store.info(named(self._name, epoch)).modified
            age = self._clock.now() - datetime.fromtimestamp(modified, UTC)
            if age.total_seconds() > document.ttl_seconds:
                return document.ttl_seconds + _POLL_SECONDS
        return 0.0


def acquire(
    store: Store, name: str, *, operation: str, wait: float, clock: Clock, identity: Identity, ttl: float = TTL_SECONDS
) -> Lease:
    """Hold the lease `name`, waiting at most `wait` seconds for another holder; raises Locked, which says who that is.

    A dead holder on the same machine is replaced at once, any other after its heartbeat stood still for its time to
    live; when its last heartbeat is long past already, that time is waited for even when `wait` is shorter.
    """
    watch = _Watch(store, name, clock=clock, own=identity)
    began, lost = clock.monotonic(), 0
    while True:
        highest = _highest_epoch(store, name, beats=True)
        document = _read(store, name, highest)
        if document is None or watch.is_free(highest, document):
            lease = _try_create(store, name, highest + 1, operation=operation, clock=clock, identity=identity, ttl=ttl)
            if lease is not None:
                return lease
            lost += 1
            _require_progress(store, name, lost)
            if lost > 1:
                clock.sleep(_POLL_SECONDS)
            continue
        remaining = max(wait, watch.patience(highest, document)) - (clock.monotonic() - began)
        if remaining <= 0:
            raise _locked(name, document)
        clock.sleep(min(_POLL_SECONDS, document.ttl_seconds / BEATS_PER_TTL, remaining))


def _try_create(
    store: Store, name: str, epoch: int, *, operation: str, clock: Clock, identity: Identity, ttl: float
) -> Lease | None:
    document = LeaseDocument(
        epoch=epoch,
        host=identity.host,
        boot=identity.boot,
        pid=identity.pid,
        process_started=identity.process_started,
        operation=operation,
        ttl_seconds=ttl,
        at=documents.timestamp(clock.now()),
    )
    renewed = clock.monotonic()
    try:
        if not _is_taken(store, name, document):
            return None
    except StorageError:
        _give_back(store, name, document)
        raise
    return Lease(store, name, document, clock=clock, renewed=renewed)


def _is_taken(store: Store, name: str, document: LeaseDocument) -> bool:
    """Create the epoch; False when another process has it or a higher one."""
    epoch = document.epoch
    if not store.create(layout.lease_name(name, epoch), documents.encode_document(document)):
        return False
    if _highest_epoch(store, name) > epoch:  # others took and cleared this epoch since it was read
        with suppress(StorageError):  # as a lower epoch it does no harm
            store.delete(layout.lease_name(name, epoch))
        return False
    _delete_older(store, name, epoch)
    return True


def _give_back(store: Store, name: str, document: LeaseDocument) -> None:
    """Release an epoch that may have been created before the store failed: nobody would ever renew it.

    A process that lives on (this one) would keep everybody waiting for its whole time to live.
    """
    with suppress(StorageError, ObjectMissing):
        if store.get(layout.lease_name(name, document.epoch)) == documents.encode_document(document):
            released = documents.encode_document(Beat(count=1, state="released"))
            store.put(layout.beat_name(name, document.epoch), released)


def _delete_older(store: Store, name: str, epoch: int) -> None:
    """Old epochs do no harm, so neither does a failure to delete them; the highest must stay, it carries the count."""
    with suppress(StorageError):
        for info in list(store.list(layout.lease_folder(name))):
            if 0 < _epoch_of(info.name) < epoch:
                store.delete(info.name)


def outdated_epochs(store: Store) -> list[ObjectInfo]:
    """Objects of epochs that a higher one has ended; the highest of each lease stays, for it carries the count."""
    highest: dict[str, int] = {}
    objects = list(store.list(layout.LEASES))
    for info in objects:
        folder = info.name.rpartition("/")[0]
        if not info.name.endswith(".beat"):
            highest[folder] = max(highest.get(folder, 0), _epoch_of(info.name))
    return [info for info in objects if 0 < _epoch_of(info.name) < highest.get(info.name.rpartition("/")[0], 0)]


def _highest_epoch(store: Store, name: str, *, beats: bool = False) -> int:
    """The highest epoch there is; `beats` counts those of which only the heartbeat is left: an epoch never comes again.

    Else a new holder would find an old "released" under its own epoch.
    """
    objects = store.list(layout.lease_folder(name))
    return max((_epoch_of(info.name) for info in objects if beats or not info.name.endswith(".beat")), default=0)


def _epoch_of(object_name: str) -> int:
    number = object_name.rpartition("/")[2].removesuffix(".beat")
    return int(number) if number.isdecimal() else 0


def _read(store: Store, name: str, epoch: int) -> LeaseDocument | None:
    object_name = layout.lease_name(name, epoch)
    data = _get(store, object_name)
    return None if data is None else _decoded(store, data, LeaseDocument, name=object_name)


def _decoded(store: Store, data: bytes, kind: type[documents.Document], *, name: str) -> documents.Document:
    remedy = f"No backed up data is in it. See that nothing else works on {store.address}, then remove {name}."
    try:
        return documents.decode_document(data, kind, name=name)
    except DamagedObject as error:
        raise DamagedObject(name, error.kind, error.detail, remedy=remedy) from error
    except NoRepository as error:
        error.remedy = f"If no newer moi-backup works here: {remedy} Else install that one."
        raise


def _get(store: Store, object_name: str) -> bytes | None:
    """The object, or None: it may not be written yet, or cleared away by the next holder."""
    try:
        return store.get(object_name)
    except ObjectMissing:
        return None


def _require_progress(store: Store, name: str, lost: int) -> None:
    """Who loses a race sees the winner the next time; who loses again and again is shown an old listing."""
    if lost >= _LOST_RACES:
        raise StorageError(
            f"The lease {name!r} cannot be taken: {store.address} refused {lost} times to create the next one below "
            f"{layout.lease_folder(name)}, and does not list who has it.",
            meaning="Its listings are older than its objects. Nothing was written.",
            remedy="Run it again later; use a store whose listings show what was written, as Amazon S3 does.",
        )


def _holder_text(store: Store, name: str, epoch: int) -> str:
    try:
        return str(_read(store, name, epoch) or "another operation")
    except MoiError:
        return "another operation"


def _locked(name: str, document: LeaseDocument) -> Locked:
    return Locked(
        f"The repository is in use: {document}.",
        meaning=f"It holds the lease {name!r}, so that two operations never disturb each other.",
        remedy="Wait for it, or run again with --wait SECONDS. If that process is dead, its lease is taken over once "
        f"its heartbeat has stood still for {document.ttl_seconds:.0f} s: --wait {document.ttl_seconds + 30:.0f} does.",
    )
