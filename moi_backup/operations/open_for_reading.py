"""Where a restore, a query or a list reads: the repository with its copy behind it, or the copy alone in its place.

Only readers come here. A backup, a verification or a repair opens exactly the place it is about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from moi_backup.errors import Damaged, MoiError, NoRepository, StorageError
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.chain import Chain, read_chain
from moi_backup.repository.repository import Repository
from moi_backup.repository.rescue import RescuedRepository, rescued
from moi_backup.storage.store import ObjectMissing

_TOLD_OBJECTS = 20


@dataclass(frozen=True, slots=True)
class Reading:
    """A repository to read and its checked chain. `instead` says why it is the copy; "" for the primary."""

    repository: Repository
    chain: Chain
    instead: str = ""

    def again(self) -> Reading:
        """The same with what was published meanwhile."""
        return replace(self, chain=read_chain(self.repository))

    def notes(self) -> tuple[str, ...]:
        """What a result must say of where its data came from, up to now."""
        texts = self.repository.rescue.texts if isinstance(self.repository, RescuedRepository) else ()
        more = len(texts) - _TOLD_OBJECTS
        rest = (f"So were {more:,} more objects.",) if more > 0 else ()
        return (*((self.instead,) if self.instead else ()), *texts[:_TOLD_OBJECTS], *rest)


def open_for_reading(workspace: Workspace, *, warn: Callable[[str], None]) -> Reading:
    """The primary, or the copy where the primary is gone, its history is damaged or its medium fails.

    `warn` is told so, and once for each object that comes from the copy. Raises what the primary raised when there is
    no copy, or none that can be read.
    """
    try:
        primary = workspace.open()
        chain = read_chain(primary)
    except (Damaged, StorageError, NoRepository) as error:
        if workspace.settings.copy is None or _is_newer(error):
            raise
        return _instead(workspace, error, warn)
    if workspace.settings.copy is None:
        return Reading(primary, chain)
    return Reading(rescued(primary, open_copy=workspace.open_copy, warn=warn), chain)


def _instead(workspace: Workspace, error: MoiError, warn: Callable[[str], None]) -> Reading:
    try:
        copy = workspace.open_copy()
        chain = read_chain(copy)
    except MoiError as second:
        error.meaning = f"{error.meaning} Nor can the copy be read: {second.what}".strip()
        raise error from second
    newest = f"its history has {chain.head.seq:,} entries, the last of {chain.entries[-1].at}" if chain.entries else ""
    text = (
        f"The repository cannot be read, so everything comes from the copy at {copy.store.address} "
        f"({newest or 'it is empty'}; what came later is not in it). {error.what}"
    )
    warn(text)
    return Reading(copy, chain, text)


def _is_newer(error: MoiError) -> bool:
    """A repository that a newer version wrote is there, and read by that version alone."""
    return isinstance(error, NoRepository) and not isinstance(error.__cause__, ObjectMissing)
