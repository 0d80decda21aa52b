"""The writer's lease of a restore in place, there where the backups are read."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from moi_backup.errors import StorageError
from moi_backup.operations.open_for_reading import Reading
from moi_backup.operations.progress import Progress
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.leases import Lease


@contextmanager
def alone(
    workspace: Workspace, reading: Reading, *, in_place: bool, wait: float, progress: Progress
) -> Generator[Lease | None, None, None]:
    """Hold the writer's lease for a restore in place, there where the backups are read; None: nothing is written there.

    A copy that cannot be written has no lease to give: then no backup is taken either, for its repository is gone, and
    the locks of the tables keep restores apart.
    """
    with ExitStack() as held:
        lease = None
        try:
            if in_place:
                lease = held.enter_context(
                    workspace.writing(reading.repository, operation="restore", wait=wait, tell=progress.warn)
                )
        except StorageError as error:
            if not reading.instead:
                raise
            progress.warn(f"The restore goes on without a lease. {error.what}")
        yield None if reading.instead else lease
