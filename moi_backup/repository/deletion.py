"""Deleting what no backup needs, safe beside writers on other hosts (docs/format.md, "Marks, trash, prune").

A list of names is written, the chain takes it up (which only succeeds when nothing was published since the list was
made), and only then anything is deleted. Whoever publishes later has read the list and uses none of its names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime

from moi_backup.errors import Locked, StorageError
from moi_backup.repository import documents, layout
from moi_backup.repository.chain import create_entry, mark_entry, read_chain
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.leases import Lease
from moi_backup.repository.marks import (
    DAMAGED,
    DELETABLE,
    Mark,
    damaged_chunks,
    encode_mark,
    orphaned_marks,
    read_marks,
)
from moi_backup.repository.reachability import needed_names
from moi_backup.repository.reading import raise_damage
from moi_backup.repository.repository import Repository

TOMBSTONE_SECONDS = 7 * 24 * 3600.0
_ATTEMPTS = 100


def require_deletable(repository: Repository) -> None:
    """Raise StorageError when objects may not be deleted, before anything is marked. Asks by deleting nothing."""
    repository.store.delete(f"{layout.MARKS}probe")


def mark_unreachable(
    repository: Repository, *, lease: Lease, now: Callable[[], datetime], only: Collection[str] | None = None
) -> Mark | None:
    """Mark everything that no backup needs (or what of `only` none needs); None when there is nothing.

    Raises Damaged or StorageError when a document cannot be read: what it lists is not known then. Raises Locked when
    the lease is lost. Nothing is marked in these cases.
    """
    for _ in range(_ATTEMPTS):
        stored = [info.name for prefix in DELETABLE for info in repository.store.list(prefix)]
        chain = read_chain(repository)  # after the listing: what is published from now on makes the entry fail
        needed = needed_names(repository, chain, on_damage=raise_damage)
        marked = pending_names(read_marks(repository, chain))
        _require_unneeded(marked, needed)
        names = [
            name for name in stored if name not in needed and name not in marked and (only is None or name in only)
        ]
        if not names:
            return None
        data = encode_mark(names, seq=chain.head.seq + 1, epoch=lease.epoch)
        entry = mark_entry(chain, manifest=documents.digest_of(data), at=now(), epoch=lease.epoch)
        name = layout.mark_name(entry.seq, entry.lease_epoch)
        repository.store.put(name, data)
        if create_entry(repository, entry, lease=lease):
            return Mark(entry, tuple(names), None)
        with suppress(StorageError):
            repository.store.delete(name)
    raise Locked(
        f"Other writers were faster {_ATTEMPTS} times.", meaning="Nothing was marked or deleted.", remedy="Try again."
    )


def pending_names(marks: Collection[Mark]) -> set[str]:
    """The names in marks that are not done."""
    return {name for mark in marks if mark.done is None for name in mark.names or ()}


def finish(repository: Repository, mark: Mark, *, on_deleted: Callable[[int], None] = lambda _: None) -> None:
    """Delete everything in a mark and say that it is done. Repeating it does no harm; needs no lease.

    The list of a mark that is damaged is lost: what it named is found unreachable again by the next prune.
    """
    damaged = damaged_chunks(repository.store)
    for name in mark.names or ():
        repository.store.delete(name)
        on_deleted(1)
        if name.startswith(layout.CHUNKS) and (stored := layout.parse_chunk_name(name).stored) in damaged:
            repository.store.delete(DAMAGED + stored)
    repository.store.create(mark.done_name, b"")


def outdated_marks(repository: Repository, *, store_now: float) -> list[str]:
    """The objects of marks that nobody needs any more: done for the time a tombstone stays, or no part of the chain."""
    chain = read_chain(repository)
    names = [info.name for info in orphaned_marks(repository, chain)]
    for mark in read_marks(repository, chain):
        if mark.done is not None and store_now - mark.done >= TOMBSTONE_SECONDS:
            names += [mark.object_name, mark.done_name]  # in this order: a list without its end would be finished again
    return names


def _require_unneeded(marked: Collection[str], needed: Collection[str]) -> None:
    """A guard against a defect or tampering: what is marked and not yet deleted, nobody may need."""
    for name in sorted(set(marked).intersection(needed)):
        raise DamagedObject(
            name,
            "inconsistent",
            "is marked for deletion, and a backup needs it",
            remedy="Nothing more is deleted. Copy the repository, then run moi-backup verify --read-data.",
        )
