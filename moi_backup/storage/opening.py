"""The store behind an address."""

from __future__ import annotations

from pathlib import Path

from moi_backup.errors import StorageError
from moi_backup.storage.address import Bucket, parse_address
from moi_backup.storage.local import LocalStore
from moi_backup.storage.s3_access import S3Access
from moi_backup.storage.store import Store


def open_store(address: str, *, scratch: Path, access: S3Access) -> Store:
    """The store at a local path, `file:///path` or `s3://bucket/prefix`; nothing connects yet.

    `scratch` is the folder for temporary files of a store that has no file system of its own, `access` how buckets are
    reached. Raises ConfigurationError for an address of another kind, StorageError for a bucket without credentials.
    """
    place = parse_address(address, setting="The repository's address")
    if isinstance(place, Bucket):
        return _bucket_store(place, scratch=scratch, access=access)
    return LocalStore(place)


def _bucket_store(bucket: Bucket, *, scratch: Path, access: S3Access) -> Store:
    try:
        from moi_backup.storage.s3 import S3Store
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "obstore":
            raise
        raise StorageError(
            f"The repository is in a bucket ({bucket}), and the package obstore is not installed.",
            meaning="Repositories in folders need no further package.",
            remedy="Install moi-backup with its extra s3.",
        ) from error
    return S3Store(bucket, scratch=scratch, access=access)
