"""The chain: the repository's history and the compare-and-swap between its writers (docs/format.md, "Chain").

A backup exists when its entry does. The head that was seen last is kept outside the repository, for a chain whose tail
was cut off looks whole from inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path

from moi_backup.errors import Locked, NoRepository, StorageError, UsageError
from moi_backup.model.backup import ChainAction, ChainEntry
from moi_backup.repository import documents, layout
from moi_backup.repository.contradictions import replaced
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.heads import NOTHING_BEFORE, Head, head_file, keep_head, seen_head
from moi_backup.repository.leases import Lease
from moi_backup.repository.repository import Repository
from moi_backup.storage.at_once import in_order
from moi_backup.storage.store import ObjectMissing, Store

_ATTEMPTS = 1000
_LISTED: tuple[ChainAction, ...] = ("publish", "undelete", "rewrite")
_ALLOWED: dict[ChainAction, tuple[ChainAction | None, ...]] = {
    "publish": (None,),
    "rewrite": _LISTED,
    "expire": _LISTED,
    "undelete": ("expire",),
    "prune": ("expire",),
}


_NAMING: tuple[ChainAction, ...] = ("publish", "rewrite")  # the actions that say what a manifest's bytes must be


@dataclass(frozen=True)
class Chain:
    """The whole history in order. `unkept` says why the head could not be remembered ("" when it was)."""

    entries: tuple[ChainEntry, ...]
    head: Head
    unkept: str = ""

    @cached_property
    def manifests(self) -> dict[str, str]:
        """`manifest_hashes`, gathered once: every manifest that is read asks for its own."""
        return {entry.backup: entry.manifest for entry in self.entries if entry.action in _NAMING}


@dataclass(frozen=True, slots=True)
class ChainScan:
    """What lies in the repository: the entries that can be read, the head, and every damage."""

    entries: tuple[ChainEntry, ...]
    head: Head
    damage: tuple[DamagedObject, ...]


def read_chain(repository: Repository, *, after: Chain | None = None) -> Chain:
    """The history, checked: dense, every `previous` right, nothing gone that was seen before. Raises DamagedObject.

    `after` is the history as the same operation read it before: only its head is read again, and what followed.
    """
    scan = scan_chain(repository, after=after)
    if scan.damage:
        raise scan.damage[0]
    return Chain(scan.entries, scan.head, _remembered(repository, scan.head))


def scan_chain(repository: Repository, *, after: Chain | None = None) -> ChainScan:
    """The history as far as it can be read, with all damage instead of the first; `after` as for `read_chain`.

    Raises NoRepository for an entry that a newer version wrote; one that only looks so, because it is not what was
    written, is damage like any other.
    """
    head_file = _head_file(repository)
    seen, unreadable = _seen(head_file)  # before the chain: another process may append meanwhile
    read = _read_entries(repository, after=after)
    found = replaced(read.entries, read.hashes, seen=seen, seen_in=str(head_file))
    for seq, error in read.newer.items():
        if seq not in found:
            raise error
    named = {damage.object_name for damage in read.damage}
    contradicted = [damage for damage in found.values() if damage.object_name not in named]
    damage = [*unreadable, *read.damage, *contradicted, *_cut_off(seen, last=read.last, seen_in=str(head_file))]
    if after and read.hashes.get(after.head.seq) != after.head.hash and not damage:
        damage.append(DamagedObject(layout.chain_name(after.head.seq), "content", "is not what it was a moment ago"))
    entries = tuple(entry for seq, entry in read.entries.items() if seq not in found)
    return ChainScan(entries, Head(read.last, read.hashes.get(read.last, NOTHING_BEFORE)), tuple(damage))


def append(
    repository: Repository,
    *,
    action: ChainAction,
    backup: str,
    at: datetime,
    lease: Lease,
    manifest: str = "",
    after: Chain | None = None,
) -> ChainEntry:
    """Add an entry after the last one, again and again until no other writer is faster; `after` as for `read_chain`.

    `manifest` is the blake3 of the stored manifest and needed for `publish` and `rewrite`; the others repeat it.
    Raises UsageError when the action does not fit the backup's state, Locked when the lease is lost, or when objects
    were marked for deletion since the writer of a `publish` read the marks: it may have built on them.
    """
    for _ in range(_ATTEMPTS):
        chain = read_chain(repository, after=after)
        if action in _NAMING:
            _refuse_unseen_marks(chain, seen=repository.marked.seen)
        entry = next_entry(chain, action=action, backup=backup, at=at, epoch=lease.epoch, manifest=manifest)
        if create_entry(repository, entry, lease=lease):
            return entry
    raise StorageError(
        f"{repository.store.address} refused {_ATTEMPTS} times to create the next entry of the chain.",
        meaning="The backup was not published; nothing else was changed.",
        remedy="See that no other program writes into the repository, then try again.",
    )


def create_entry(repository: Repository, entry: ChainEntry, *, lease: Lease) -> bool:
    """Add this very entry; False (and nothing changed) when another writer was faster. Raises Locked."""
    name = layout.chain_name(entry.seq)
    data = repository.chain_bytes(documents.encode_document(entry), name=name)
    lease.assert_held()
    if not repository.store.create(name, data):
        return False
    keep_head(_head_file(repository), Head(entry.seq, documents.digest_of(data)))
    return True


def next_entry(
    chain: Chain, *, action: ChainAction, backup: str, at: datetime, epoch: int, manifest: str = ""
) -> ChainEntry:
    """The entry that would follow; raises UsageError when the action does not fit the backup's state."""
    if not layout.is_backup_id(backup):
        raise ValueError(f"not the id of a backup: {backup!r}")
    state = states(chain).get(backup)
    if state not in _ALLOWED[action]:
        raise UsageError(
            f"Backup {backup} cannot be changed by {action}: {_state_text(state)}.",
            remedy="See moi-backup backups for what there is.",
        )
    if action not in _NAMING:
        manifest = manifest_hashes(chain).get(backup, manifest)
    return _following(chain, action=action, backup=backup, manifest=manifest, at=at, epoch=epoch)


def mark_entry(chain: Chain, *, manifest: str, at: datetime, epoch: int) -> ChainEntry:
    """The entry that would follow to mark objects for deletion; `manifest` is the blake3 of the list of their names."""
    return _following(chain, action="mark", backup="", manifest=manifest, at=at, epoch=epoch)


def states(chain: Chain) -> dict[str, ChainAction]:
    """Every backup ever published, in the order of publishing, with the last action that names it."""
    return {entry.backup: entry.action for entry in chain.entries if entry.action != "mark"}


def published(chain: Chain) -> list[str]:
    """The ids of the listed backups, in the order of publishing."""
    return [backup for backup, state in states(chain).items() if state in _LISTED]


def expired(chain: Chain) -> dict[str, ChainEntry]:
    """The backups in the trash, in the order of expiry, each with the entry that put it there."""
    last = {entry.backup: entry for entry in chain.entries if entry.action != "mark"}
    return {entry.backup: entry for entry in sorted(last.values(), key=_seq) if entry.action == "expire"}


def manifest_hashes(chain: Chain) -> dict[str, str]:
    """For every backup ever published the blake3 its stored manifest must have."""
    return chain.manifests


def stored_entries(store: Store, *, first: int = 1) -> Iterator[tuple[int, bytes | None]]:
    """Bytes of every entry from the first wanted one; None for a gap.

    The listing tells only how far to look: a folder that is read while entries are added may show a later one
    without an earlier one.
    """
    listed = max((_seq_of(info.name) for info in store.list(layout.CHAIN)), default=0)
    names = map(layout.chain_name, range(first, listed + 1))
    yield from enumerate(in_order(partial(_get, store), names, threads=store.requests_at_once), start=first)
    seq = max(first, listed + 1)
    while (data := _get(store, layout.chain_name(seq))) is not None:
        yield seq, data
        seq += 1


def _seq_of(name: str) -> int:
    number = name.removeprefix(layout.CHAIN)
    return int(number) if len(number) == layout.SEQ_DIGITS and number.isdecimal() else 0


def _get(store: Store, name: str) -> bytes | None:
    try:
        return store.get(name)
    except ObjectMissing:
        return None


def _entry(repository: Repository, stored: bytes, *, seq: int) -> ChainEntry:
    name = layout.chain_name(seq)
    entry = documents.decode_document(repository.unsealed(stored, name=name), ChainEntry, name=name)
    named = entry.backup == "" if entry.action == "mark" else layout.is_backup_id(entry.backup)
    if entry.seq != seq or not named:
        raise DamagedObject(name, "content", f"is the entry {entry.seq} for {entry.backup!r}, which cannot stand here")
    return entry


@dataclass
class _Read:
    """What lies in the chain, by number: hashes of all bytes (0: of `repository.json`), and what they turned out to be.

    `newer` are entries that a newer version seems to have written.
    """

    hashes: dict[int, str]
    entries: dict[int, ChainEntry] = field(default_factory=dict[int, ChainEntry])
    newer: dict[int, NoRepository] = field(default_factory=dict[int, NoRepository])
    damage: list[DamagedObject] = field(default_factory=list[DamagedObject])
    last: int = 0


def _read_entries(repository: Repository, *, after: Chain | None) -> _Read:
    known = after.entries[:-1] if after else ()
    read = _Read({0: _identity_hash(repository.store)}, {entry.seq: entry for entry in known}, last=len(known))
    for seq, data in stored_entries(repository.store, first=len(known) + 1):
        read.last = seq
        if data is None:
            read.damage.append(DamagedObject(layout.chain_name(seq), "missing", "is missing from the chain"))
            continue
        read.hashes[seq] = documents.digest_of(data)
        try:
            read.entries[seq] = _entry(repository, data, seq=seq)
        except NoRepository as error:
            read.newer[seq] = error
        except DamagedObject as error:
            read.damage.append(error)
    return read


def _identity_hash(store: Store) -> str:
    """The blake3 of `repository.json`, which the first entry of the chain repeats."""
    data = _get(store, layout.REPOSITORY)
    if data is None:
        raise DamagedObject(layout.REPOSITORY, "missing", f"is missing from {store.address}")
    return documents.digest_of(data)


def _seen(head_file: Path) -> tuple[Head, tuple[DamagedObject, ...]]:
    """The remembered head; as if none was when it cannot be read, which is damage."""
    try:
        return seen_head(head_file), ()
    except DamagedObject as error:
        return Head(0, NOTHING_BEFORE), (error,)


def _following(
    chain: Chain, *, action: ChainAction, backup: str, manifest: str, at: datetime, epoch: int
) -> ChainEntry:
    return ChainEntry(
        seq=chain.head.seq + 1,
        previous=chain.head.hash,
        action=action,
        backup=backup,
        manifest=manifest,
        at=documents.timestamp(at),
        lease_epoch=epoch,
    )


def _refuse_unseen_marks(chain: Chain, *, seen: int) -> None:
    """What makes a prune safe whatever becomes of leases: a publish knows every mark that stands before it."""
    unseen = [entry for entry in chain.entries if entry.action == "mark" and entry.seq > seen]
    if unseen:
        raise Locked(
            f"Objects were marked for deletion by {layout.chain_name(unseen[-1].seq)} while this operation ran.",
            meaning="It may have built on them, so it published nothing. Its lease must have been taken over.",
            remedy="Run it again.",
        )


def _seq(entry: ChainEntry) -> int:
    return entry.seq


def _remembered(repository: Repository, head: Head) -> str:
    """Remember a head that is new here; why that failed, or "".

    Only when it reads the same a second time: no later entry bears witness to it, and a bit that a medium turned once
    would look like a replaced history for ever after.
    """
    file = _head_file(repository)
    if head.seq <= seen_head(file).seq:
        return ""
    name = layout.chain_name(head.seq)
    again = _get(repository.store, name)
    if again is None or documents.digest_of(again) != head.hash:
        raise DamagedObject(name, "content", "is not what it was a moment ago")
    return keep_head(file, head)


def _head_file(repository: Repository) -> Path:
    return head_file(repository.heads, repository=repository.id, address=repository.store.address)


def _cut_off(seen: Head, *, last: int, seen_in: str) -> tuple[DamagedObject, ...]:
    if seen.seq <= last:
        return ()
    detail = f"is missing: the chain ends at {last}, but {seen_in} says that {seen.seq} entries were seen before"
    return (DamagedObject(layout.chain_name(seen.seq), "missing", f"{detail}, so its tail was cut off"),)


def _state_text(state: ChainAction | None) -> str:
    if state is None:
        return "no such backup was ever published"
    return {"expire": "it is in the trash", "prune": "it was removed for good"}.get(state, "it is listed")
