"""Objects in a bucket of an S3 store, below a prefix.

A write is atomic, and durable when the store has answered. Requests are repeated for a while when the store is
overloaded, out of order or not reached. Nothing a backup or a restore does needs the permission to delete.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from moi_backup.errors import StorageError
from moi_backup.storage.address import Bucket
from moi_backup.storage.local import FOLDER_MODE, storage_error
from moi_backup.storage.naming import check_name
from moi_backup.storage.s3_access import S3Access, check_access
from moi_backup.storage.s3_client import BucketClient, Patience, RequestFailed
from moi_backup.storage.s3_failure import UNDECIDED, failed_request
from moi_backup.storage.store import ObjectInfo, ObjectMissing

PATIENCE = Patience()
REQUESTS_AT_ONCE = 12
_PART_RETRIES = 3
_UNCHANGED = "The repository is as it was before this step."
_UNKNOWN = "It is not known whether this step was carried out; the next command finds out and goes on from there."
Result = TypeVar("Result")


class S3Store:
    """A `Store` in a bucket. `scratch` is a folder of this machine. Raises StorageError when credentials are missing.

    Nothing is sent before the first call. Safe for threads and processes side by side.
    """

    def __init__(
        self,
        bucket: Bucket,
        *,
        scratch: Path,
        access: S3Access,
        patience: Patience = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        check_access(access)
        self._bucket, self._scratch = bucket, scratch
        self._patience, self._clock, self._sleep = patience, clock, sleep
        self._endpoint = access.endpoint or f"the S3 service of region {access.region}"
        # The library would repeat a conditional write without telling: this client repeats nothing.
        self._small = BucketClient(bucket.name, access, patience=patience, silence=patience.answer, retries=0)
        self._large = BucketClient(
            bucket.name, access, patience=patience, silence=patience.transfer, retries=_PART_RETRIES
        )
        self._conditions_hold = False

    @property
    def address(self) -> str:
        """`s3://bucket/prefix`."""
        return str(self._bucket)

    @property
    def requests_at_once(self) -> int:
        """A request is mostly waiting for the network and the store."""
        return REQUESTS_AT_ONCE

    def get(self, name: str) -> bytes:
        """The whole object; raises ObjectMissing."""
        key = self._key(name)
        with self._failing("read", name):
            return self._patiently(lambda: self._small.get(key))

    def put(self, name: str, data: bytes) -> None:
        """Write or replace atomically."""
        key = self._key(name)
        with self._failing("write", name, meaning=_UNKNOWN):
            self._patiently(lambda: self._small.put(key, data))

    def create(self, name: str, data: bytes) -> bool:
        """Write only if nothing has this name; False (and nothing changed) when something has.

        The answer is true also when an attempt was carried out and its answer lost: the repeated attempt then finds an
        object, reads it back, and says True if it holds the very bytes that were to be written. (Chain entries and
        leases hold the id of their writer, so no other writer's bytes are equal.) After a StorageError it is not known
        whether the object was written.
        """
        key = self._key(name)
        attempts = 0

        def attempt() -> bool:
            nonlocal attempts
            attempts += 1
            try:
                self._small.create(key, data)
            except RequestFailed as error:
                if not error.failure.exists:
                    raise
                return attempts > 1 and self._reread(key) == data
            return True

        with self._failing("write", name, meaning=_UNKNOWN):
            created = self._patiently(attempt)
        if created and not self._conditions_hold:
            self._prove_conditions(name, data)
        return created

    def upload(self, name: str, file: Path) -> None:
        """Write or replace atomically from a local file, in parts when it is large; the file is removed."""
        key = self._key(name)
        try:
            file.stat()
            with self._failing("write", name, meaning=_UNKNOWN):
                self._patiently(lambda: self._large.upload(key, file))
            file.unlink()
        except OSError as error:
            raise storage_error(error, verb="write", name=name, address=self.address) from error

    @contextmanager
    def local(self, name: str) -> Generator[Path]:
        """A copy in the scratch folder of the size the store says, removed at the end; raises ObjectMissing."""
        key = self._key(name)
        path = self.scratch() / f"copy-{os.getpid()}-{os.urandom(8).hex()}"
        try:
            try:
                with self._failing("read", name):
                    self._patiently(lambda: self._large.download(key, path))
            except OSError as error:
                raise storage_error(
                    error, verb="write", name=f"a copy of {name}", address=str(self._scratch)
                ) from error
            yield path
        finally:
            path.unlink(missing_ok=True)

    def info(self, name: str) -> ObjectInfo:
        """Size and the store's time of one object; raises ObjectMissing."""
        key = self._key(name)
        with self._failing("read", name):
            found = self._patiently(lambda: self._small.describe(key))
        return ObjectInfo(name, **found)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose name starts with `prefix`, in name order; asked for at once and held in memory.

        Not every store lists in name order (some walk folders), so the names are sorted here.
        """
        folder, _, _ = prefix.rpartition("/")
        if folder:
            check_name(folder)
        below = self._bucket.key(folder).rstrip("/")
        with self._failing("list", prefix):
            found = self._patiently(lambda: [*self._large.list(below)])
        start = len(self._bucket.key(""))
        named = (ObjectInfo(key[start:], **described) for key, described in found)
        return iter(sorted(info for info in named if info.name.startswith(prefix)))

    def delete(self, name: str) -> None:
        """Remove; no error when it is absent."""
        key = self._key(name)
        with self._failing("delete", name, meaning=_UNKNOWN):
            try:
                self._patiently(lambda: self._small.delete(key))
            except RequestFailed as error:
                if not error.failure.missing:
                    raise

    def scratch(self) -> Path:
        """The folder given at the start, made with mode 0700."""
        try:
            self._scratch.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(error, verb="write", name="the scratch folder", address=str(self._scratch)) from error
        return self._scratch

    def free_bytes(self) -> None:
        """A bucket has no limit to ask for."""
        return

    def _key(self, name: str) -> str:
        return self._bucket.key(check_name(name))

    def _patiently(self, attempt: Callable[[], Result]) -> Result:
        """The attempt, repeated while its failure may pass and patience lasts."""
        began = self._clock()
        waits = self._patience.waits()
        repeated = False
        while True:
            try:
                return attempt()
            except RequestFailed as error:
                error.repeated = repeated
                wait = next(waits, None)
                if wait is None or not error.failure.passing or self._clock() - began + wait > self._patience.total:
                    raise
            self._sleep(wait)
            repeated = True

    def _reread(self, key: str) -> bytes:
        """What is there after a conditional write was refused; gone again means that it has to be tried again."""
        try:
            return self._small.get(key)
        except RequestFailed as error:
            if error.failure.missing:
                raise RequestFailed(UNDECIDED) from None
            raise

    def _prove_conditions(self, name: str, data: bytes) -> None:
        """Create again, once, what was just created: a store that lets that pass has ignored the condition."""
        with self._failing("write", name, meaning=_UNKNOWN):
            try:
                self._patiently(lambda: self._small.create(self._key(name), data))
            except RequestFailed as error:
                if not error.failure.exists:
                    raise
                self._conditions_hold = True
                return
        raise StorageError(
            f"The store of {self.address} ignores conditional writes (If-None-Match).",
            meaning="Two writers could overwrite each other's history, so nothing more is written.",
            remedy="Use a store that has them, as Amazon S3 and recent versions of the compatible stores do.",
        )

    @contextmanager
    def _failing(self, verb: str, name: str, *, meaning: str = _UNCHANGED) -> Generator[None]:
        try:
            yield
        except RequestFailed as error:
            if verb == "read" and error.failure.missing:
                raise ObjectMissing(name) from None
            carried_out = error.repeated or error.failure.passing
            raise failed_request(
                error.failure,
                verb=verb,
                name=name,
                address=self.address,
                endpoint=self._endpoint,
                meaning=meaning if carried_out else _UNCHANGED,
            ) from None
