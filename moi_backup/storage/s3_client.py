"""Single requests to a bucket by obstore: the one module that knows that library; its failures are RequestFailed."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store as Client

from moi_backup.storage.s3_access import S3Access
from moi_backup.storage.s3_failure import BROKEN, Failure, read_failure

if TYPE_CHECKING:  # obstore has these names in its stubs alone
    from obstore.store import ClientConfig, RetryConfig, S3Config

PART_BYTES = 8 << 20
PARTS_AT_ONCE = 3
_BLOCK_BYTES = 1 << 20
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds of silence that end a request, small ones and transfers; then how often and how long it is tried again.

    The waits between attempts double from the first to the longest; no attempt begins
    `total` seconds after the first.
    """

    connect: float = 5.0
    answer: float = 20.0
    transfer: float = 60.0
    retries: int = 8
    first_wait: float = 0.2
    longest_wait: float = 8.0
    total: float = 90.0

    def waits(self) -> Iterator[float]:
        """The waits before the second, third ... attempt."""
        for attempt in range(self.retries):
            yield min(self.first_wait * 2**attempt, self.longest_wait)


class Described(TypedDict):
    """What an answer says about an object."""

    size: int
    modified: float


class RequestFailed(Exception):
    """A request was refused, not answered, or answered in part; `repeated`: an earlier one may have had its effect."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure
        self.repeated = False


class BucketClient:
    """Requests to one bucket. `retries` is for the library's own ones, which repeat a part or a page, not the whole."""

    def __init__(self, bucket: str, access: S3Access, *, patience: Patience, silence: float, retries: int) -> None:
        config: S3Config = {"region": access.region, "disable_bulk_delete": True, "checksum_algorithm": "SHA256"}
        if access.key_id is not None and access.secret_key is not None:
            config |= {"access_key_id": access.key_id, "secret_access_key": access.secret_key}
        if access.session_token is not None:
            config["session_token"] = access.session_token
        if access.endpoint is not None:
            config["endpoint"] = access.endpoint
        options: ClientConfig = {
            "allow_http": (access.endpoint or "").startswith("http:"),
            "connect_timeout": timedelta(seconds=patience.connect),
            "read_timeout": timedelta(seconds=silence),
            "timeout": timedelta(seconds=20 * silence),
        }
        self._bucket_exists = False
        self._client = Client(bucket, config=config, client_options=options, retry_config=_retries(retries, patience))

    def get(self, key: str) -> bytes:
        """The whole object."""
        with _translated():
            return bytes(obstore.get(self._client, key).bytes())

    def describe(self, key: str) -> Described:
        """Size and time of an object.

        The answer to HEAD has no body, so a refusal is asked about again by GET, which says why; a missing object only
        until it is known that not the bucket is missing.
        """
        try:
            with _translated():
                return _described(obstore.head(self._client, key))
        except RequestFailed as error:
            known = error.failure.missing and self._bucket_exists
            if known or error.failure.code is not None or error.failure.passing:
                raise
        try:
            with _translated():
                return _described(obstore.get(self._client, key).meta)
        except RequestFailed as error:
            self._bucket_exists = error.failure.code == "NoSuchKey"
            raise

    def put(self, key: str, data: bytes) -> None:
        """Write or replace."""
        with _translated():
            obstore.put(self._client, key, data, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)

    def create(self, key: str, data: bytes) -> None:
        """Write under the condition that nothing is there; `Failure.exists` when something is."""
        with _translated():
            obstore.put(self._client, key, data, mode="create", use_multipart=False)

    def upload(self, key: str, file: Path) -> None:
        """Write or replace from a file, a large one in parts; of those few are in memory at once."""
        with _translated():
            obstore.put(self._client, key, file, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)

    def download(self, key: str, file: Path) -> None:
        """Write the object into a file (made or emptied), block by block; raises OSError when that has no room."""
        written = 0
        with _translated():
            answer = obstore.get(self._client, key)
        with file.open("wb") as opened:
            for block in _blocks(answer):
                written += opened.write(block)
        if written != answer.meta["size"]:
            raise RequestFailed(BROKEN)

    def list(self, prefix: str) -> Iterator[tuple[str, Described]]:
        """All keys below a folder (without its slash; empty: the whole bucket), in the store's order, page by page."""
        with _translated():
            for page in obstore.list(self._client, prefix or None, chunk_size=_PAGE):  # pyright: ignore[reportUnknownMemberType]
                for meta in page:
                    yield meta["path"], _described(meta)

    def delete(self, key: str) -> None:
        """Remove."""
        with _translated():
            obstore.delete(self._client, key)


def _described(meta: obstore.ObjectMeta) -> Described:
    return {"size": meta["size"], "modified": meta["last_modified"].timestamp()}


def _blocks(answer: obstore.GetResult) -> Iterator[bytes]:
    with _translated():
        yield from answer.stream(min_chunk_size=_BLOCK_BYTES)


def _retries(retries: int, patience: Patience) -> RetryConfig:
    return {
        "max_retries": retries,
        "retry_timeout": timedelta(seconds=patience.total),
        "backoff": {
            "init_backoff": timedelta(seconds=patience.first_wait),
            "max_backoff": timedelta(seconds=patience.longest_wait),
            "base": 2,
        },
    }


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        # Not chained: the text of the library's error may hold the signed request.
        raise RequestFailed(read_failure(error)) from None
