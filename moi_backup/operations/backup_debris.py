"""What a backup that failed leaves behind, and how it goes away again.

Temporary files lie in a folder of the run's own, which is removed at its end; those of killed runs are removed by a
later backup. New chunks of a failed backup are marked and deleted as a prune would, unless a backup names them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from moi_backup.errors import Damaged, Locked, StorageError
from moi_backup.repository.deletion import finish, mark_unreachable, require_deletable
from moi_backup.repository.leases import Lease
from moi_backup.repository.repository import Repository
from moi_backup.storage.store import Store

ABANDONED_SECONDS = 24 * 3600.0
_PREFIX = "backup-"


@contextmanager
def scratch_folder(store: Store, *, now: datetime) -> Generator[Path, None, None]:
    """A folder for the temporary files of one backup, removed at the end; removes what killed runs left a day ago."""
    for abandoned in abandoned_files(store, now=now.timestamp()):
        remove(abandoned)
    folder = store.scratch() / f"{_PREFIX}{os.getpid()}-{os.urandom(4).hex()}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def abandoned_files(store: Store, *, now: float) -> Iterator[Path]:
    """Temporary files and folders that nobody has touched for a day; `now` in seconds since the epoch."""
    for path in sorted(store.scratch().iterdir()):
        with suppress(OSError):  # gone this moment
            if now - path.stat().st_mtime > ABANDONED_SECONDS:
                yield path


def remove(path: Path) -> bool:
    """Remove a file or a folder with all in it; False when it is gone already or may not be removed."""
    try:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    except OSError:
        return False
    return True


def delete_unpublished(
    repository: Repository, names: Sequence[str], *, lease: Lease, now: Callable[[], datetime]
) -> None:
    """Delete objects that a failed backup created and that no listed backup needs (a missing chunk, written anew).

    Deleting goes by a mark, as always: a writer that has taken over the lease may be writing the same names. What
    cannot be told or may not be deleted stays as debris, which no reader takes for a backup.
    """
    with suppress(StorageError, Locked, Damaged):
        if names:
            require_deletable(repository)
            mark = mark_unreachable(repository, lease=lease, now=now, only=frozenset(names))
            if mark is not None:
                finish(repository, mark)
