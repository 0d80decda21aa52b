"""Marks on objects: found damaged (write them anew), or to be deleted (docs/format.md, "Marks, trash, prune").

A mark for deletion counts when the chain names it. It is `done` when all of it was deleted, and stays for a while as
the memory of names that nobody may use again. One that is gone was done long ago.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import msgspec

from moi_backup.errors import StorageError
from moi_backup.model.backup import ChainEntry
from moi_backup.repository import documents, layout
from moi_backup.repository.chain import Chain, read_chain
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.marked_names import gather
from moi_backup.repository.repository import Repository
from moi_backup.storage.store import ObjectInfo, ObjectMissing, Store

DAMAGED = f"{layout.MARKS}damaged/"
DELETABLE = (layout.BACKUPS, layout.CHUNKS, layout.FILES, layout.TABLES, layout.TRASH)


class MarkDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The names that the chain entry `seq` marks for deletion, written under the epoch of the writer's lease."""

    seq: int
    epoch: int
    names: tuple[str, ...]
    format: int = documents.FORMAT


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark that the chain names and that is still there.

    `names` is None when its list is damaged. `done` is the store's time (seconds) at which all of it was deleted.
    """

    entry: ChainEntry
    names: tuple[str, ...] | None
    done: float | None

    @property
    def object_name(self) -> str:
        """Where its list lies."""
        return layout.mark_name(self.entry.seq, self.entry.lease_epoch)

    @property
    def done_name(self) -> str:
        """The object that says it is done."""
        return layout.done_name(self.entry.seq, self.entry.lease_epoch)


def with_marks(repository: Repository) -> Repository:
    """The repository as a writer needs it: read after its lease is held and before it writes or reuses anything.

    Raises DamagedObject when the chain is damaged.
    """
    chain = read_chain(repository)
    marks = [(mark.entry.seq, mark.names) for mark in read_marks(repository, chain)]
    return replace(repository, marked=gather(marks, seen=chain.head.seq))


def read_marks(repository: Repository, chain: Chain) -> list[Mark]:
    """The marks that are there and that the chain names, oldest first."""
    listed = {info.name: info for info in repository.store.list(layout.MARKS)}
    found: list[Mark] = []
    for entry in chain.entries:
        name = layout.mark_name(entry.seq, entry.lease_epoch)
        if entry.action != "mark" or name not in listed:
            continue
        done = listed.get(layout.done_name(entry.seq, entry.lease_epoch))
        with suppress(ObjectMissing):  # removed this moment: it was done long ago
            found.append(Mark(entry, _names(repository.store, name, entry), done and done.modified))
    return found


def orphaned_marks(repository: Repository, chain: Chain) -> list[ObjectInfo]:
    """Marks whose place in the chain another entry has taken, and ends of marks whose list has been removed.

    A mark whose place is still free may yet be given its entry, so it stays.
    """
    ours = {(entry.seq, entry.lease_epoch) for entry in chain.entries if entry.action == "mark"}
    listed = {info.name: info for info in repository.store.list(layout.MARKS)}
    orphans: list[ObjectInfo] = []
    for info in listed.values():
        parsed = layout.parse_mark_name(info.name)
        if parsed is None or parsed.seq > chain.head.seq:
            continue
        listless = parsed.done and layout.mark_name(parsed.seq, parsed.epoch) not in listed
        if listless or (parsed.seq, parsed.epoch) not in ours:
            orphans.append(info)
    return orphans


def encode_mark(names: Sequence[str], *, seq: int, epoch: int) -> bytes:
    """The list of a mark."""
    return documents.encode_document(MarkDocument(seq=seq, epoch=epoch, names=tuple(sorted(names))))


def _names(store: Store, name: str, entry: ChainEntry) -> tuple[str, ...] | None:
    """What a mark lists; None when it is not what the chain says, or lists what nobody may delete."""
    data = store.get(name)
    try:
        documents.require_digest(data, entry.manifest, name=name)
        names = documents.decode_document(data, MarkDocument, name=name).names
    except DamagedObject:
        return None
    return names if all(listed.startswith(DELETABLE) for listed in names) else None


def mark_damaged(store: Store, *, stored: str) -> None:
    """Remember that the chunk stored as `stored` (the reference in its entry) is damaged: no backup reuses it."""
    store.create(DAMAGED + stored, b"")


def unmark_damaged(store: Store, *, stored: str) -> None:
    """The chunk was written anew.

    Without the permission to delete, the mark stays and the chunk is written again next time.
    """
    with suppress(StorageError):
        store.delete(DAMAGED + stored)


def damaged_chunks(store: Store) -> frozenset[str]:
    """References of all chunks marked damaged."""
    return frozenset(info.name.removeprefix(DAMAGED) for info in store.list(DAMAGED))
