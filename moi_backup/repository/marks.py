"""Marks on objects: found damaged (write them anew), or about to be pruned (docs/format.md, "Marks, trash, prune")."""

from __future__ import annotations

from contextlib import suppress

from moi_backup.errors import NoRepository, StorageError
from moi_backup.storage.store import Store

MARKS = "marks/"
DAMAGED = f"{MARKS}damaged/"


def mark_damaged(store: Store, *, stored: str) -> None:
    """Remember that the chunk whose bytes should hash to `stored` is damaged, so that no backup reuses it."""
    store.create(DAMAGED + stored, b"")


def unmark_damaged(store: Store, *, stored: str) -> None:
    """The chunk was written anew.

    Without the permission to delete, the mark stays and the chunk is written again next time.
    """
    with suppress(StorageError):
        store.delete(DAMAGED + stored)


def damaged_chunks(store: Store) -> frozenset[str]:
    """Stored hashes of all chunks marked damaged."""
    return frozenset(info.name.removeprefix(DAMAGED) for info in store.list(DAMAGED))


def refuse_while_pruned(store: Store) -> None:
    """Raise NoRepository when a newer version is pruning: this one cannot read which objects it must not reuse."""
    for info in store.list(MARKS):
        if not info.name.startswith(DAMAGED):
            raise NoRepository(
                f"{info.name}: a prune by a newer version of moi-backup is under way.",
                meaning="This version does not know which objects it is about to delete, so it writes nothing.",
                remedy="Wait until the prune has ended, or use that version.",
            )
