"""What a backup that failed leaves behind, and how it goes away again.

Temporary files lie in a folder of the run's own, which is removed at its end; those of killed runs are removed by a
later backup. New chunks of a failed backup are deleted while its lease is still held: nothing else can refer to them,
because nobody else may publish.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import time

from moi_backup.errors import Locked, StorageError
from moi_backup.repository.leases import Lease
from moi_backup.storage.store import Store

ABANDONED_SECONDS = 24 * 3600.0
_PREFIX = "backup-"


@contextmanager
def scratch_folder(store: Store) -> Generator[Path, None, None]:
    """A folder for the temporary files of one backup, removed at the end.

    Also removes what killed backups left a day ago.
    """
    for abandoned in store.scratch().glob(f"{_PREFIX}*"):
        with suppress(FileNotFoundError):
            if time() - abandoned.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(abandoned, ignore_errors=True)
    folder = store.scratch() / f"{_PREFIX}{os.getpid()}-{os.urandom(4).hex()}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def delete_unpublished(store: Store, names: Sequence[str], *, lease: Lease) -> None:
    """Delete objects that a failed backup created.

    Where that is not allowed, they stay as debris, which no reader takes for a backup.
    """
    with suppress(StorageError, Locked):
        lease.assert_held()
        for name in names:
            store.delete(name)
