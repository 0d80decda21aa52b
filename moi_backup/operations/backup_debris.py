"""What a backup that failed leaves behind, and how it goes away again.

Temporary files lie in a folder of the run's own, which is removed at its end; those of killed runs are removed by a
later backup. New chunks of a failed backup are deleted while its lease is still held, unless a backup names them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import time

from moi_backup.errors import Damaged, Locked, StorageError
from moi_backup.repository.leases import Lease
from moi_backup.repository.reachability import list_debris
from moi_backup.repository.repository import Repository
from moi_backup.storage.store import Store

ABANDONED_SECONDS = 24 * 3600.0
_PREFIX = "backup-"


@contextmanager
def scratch_folder(store: Store) -> Generator[Path, None, None]:
    """A folder for the temporary files of one backup, removed at the end; removes what killed runs left a day ago."""
    for abandoned in store.scratch().iterdir():
        with suppress(OSError):  # in use, or gone this moment
            if time() - abandoned.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(abandoned) if abandoned.is_dir() else abandoned.unlink()
    folder = store.scratch() / f"{_PREFIX}{os.getpid()}-{os.urandom(4).hex()}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def delete_unpublished(repository: Repository, names: Sequence[str], *, lease: Lease) -> None:
    """Delete objects that a failed backup created and that no listed backup needs (a missing chunk, written anew).

    What cannot be told or may not be deleted stays as debris, which no reader takes for a backup.
    """
    with suppress(StorageError, Locked, Damaged):
        unreachable = {info.name for info in list_debris(repository).unreachable} if names else set[str]()
        for name in names:
            if name in unreachable:
                lease.assert_held()
                repository.store.delete(name)
