"""The chain: the repository's history and the compare-and-swap between its writers (docs/format.md, "Chain").

A backup exists when its entry does. The head that was seen last is kept outside the repository, for a chain whose tail
was cut off looks whole from inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path

from moi_backup.errors import StorageError, UsageError
from moi_backup.model.backup import ChainAction, ChainEntry
from moi_backup.repository import documents, layout
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.heads import NOTHING_BEFORE, Head, keep_head, seen_head
from moi_backup.repository.leases import Lease
from moi_backup.repository.repository import Repository
from moi_backup.storage.at_once import in_order
from moi_backup.storage.store import ObjectMissing, Store

_ATTEMPTS = 1000
_ALLOWED: dict[ChainAction, tuple[ChainAction | None, ...]] = {
    "publish": (None,),
    "expire": ("publish", "undelete"),
    "undelete": ("expire",),
    "prune": ("expire",),
}


@dataclass(frozen=True)
class Chain:
    """The whole history in order. `unkept` says why the head could not be remembered ("" when it was)."""

    entries: tuple[ChainEntry, ...]
    head: Head
    unkept: str = ""

    @cached_property
    def manifests(self) -> dict[str, str]:
        """`manifest_hashes`, gathered once: every manifest that is read asks for its own."""
        return {entry.backup: entry.manifest for entry in self.entries if entry.action == "publish"}


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
    return Chain(scan.entries, scan.head, keep_head(_head_file(repository), scan.head))


def scan_chain(repository: Repository, *, after: Chain | None = None) -> ChainScan:
    """The history as far as it can be read, with all damage instead of the first; `after` as for `read_chain`."""
    seen = seen_head(_head_file(repository))  # before the chain: another process may append meanwhile
    entries = list(after.entries[:-1]) if after else []
    damage: list[DamagedObject] = []
    hashes = {0: NOTHING_BEFORE}
    last = 0
    for seq, data in _stored_entries(repository.store, first=len(entries) + 1):
        last = seq
        if data is None:
            damage.append(DamagedObject(layout.chain_name(seq), "missing", "is missing from the chain"))
            continue
        hashes[seq] = documents.digest_of(data)
        try:
            entries.append(_entry(data, seq=seq))
        except DamagedObject as error:
            damage.append(error)
            continue
        damage += _link_damage(entries[-1], hashes.get(seq - 1))
    for head in (seen, after.head) if after else (seen,):
        damage += _head_damage(head, hashes, last=last)
    return ChainScan(tuple(entries), Head(last, hashes.get(last, NOTHING_BEFORE)), tuple(damage))


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

    `manifest` is the blake3 of the stored manifest and needed for `publish`; the others repeat that of the publish.
    Raises UsageError when the action does not fit the backup's state, Locked when the lease is lost.
    """
    for _ in range(_ATTEMPTS):
        chain = read_chain(repository, after=after)
        entry = next_entry(chain, action=action, backup=backup, at=at, epoch=lease.epoch, manifest=manifest)
        data = documents.encode_document(entry)
        lease.assert_held()
        if repository.store.create(layout.chain_name(entry.seq), data):
            keep_head(_head_file(repository), Head(entry.seq, documents.digest_of(data)))
            return entry
    raise StorageError(
        f"{repository.store.address} refused {_ATTEMPTS} times to create the next entry of the chain.",
        meaning="The backup was not published; nothing else was changed.",
        remedy="See that no other program writes into the repository, then try again.",
    )


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
    published_as = {entry.backup: entry.manifest for entry in chain.entries if entry.action == "publish"}
    return ChainEntry(
        seq=chain.head.seq + 1,
        previous=chain.head.hash,
        action=action,
        backup=backup,
        manifest=published_as.get(backup, manifest),
        at=documents.timestamp(at),
        lease_epoch=epoch,
    )


def states(chain: Chain) -> dict[str, ChainAction]:
    """Every backup ever published, in the order of publishing, with the last action that names it."""
    return {entry.backup: entry.action for entry in chain.entries}


def published(chain: Chain) -> list[str]:
    """The ids of the listed backups, in the order of publishing."""
    return [backup for backup, state in states(chain).items() if state in ("publish", "undelete")]


def manifest_hashes(chain: Chain) -> dict[str, str]:
    """For every backup ever published the blake3 its stored manifest must have."""
    return chain.manifests


def _stored_entries(store: Store, *, first: int) -> Iterator[tuple[int, bytes | None]]:
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


def _entry(data: bytes, *, seq: int) -> ChainEntry:
    name = layout.chain_name(seq)
    entry = documents.decode_document(data, ChainEntry, name=name)
    if entry.seq != seq or not layout.is_backup_id(entry.backup):
        raise DamagedObject(name, "content", f"is the entry {entry.seq} for {entry.backup!r}, which cannot stand here")
    return entry


def _link_damage(entry: ChainEntry, previous: str | None) -> list[DamagedObject]:
    if previous is None or entry.previous == previous:
        return []
    name = layout.chain_name(entry.seq - 1) if entry.seq > 1 else layout.chain_name(1)
    return [DamagedObject(name, "content", f"is not what {layout.chain_name(entry.seq)} says it was: one was replaced")]


def _head_file(repository: Repository) -> Path:
    return repository.heads / f"{repository.id}.json"


def _head_damage(seen: Head, hashes: dict[int, str], *, last: int) -> list[DamagedObject]:
    if seen.seq > last:
        detail = (
            f"is missing: the chain ends at {last}, but {seen.seq} entries were seen before, so its tail was cut off"
        )
        return [DamagedObject(layout.chain_name(seen.seq), "missing", detail)]
    if hashes.get(seen.seq, seen.hash) != seen.hash:
        return [DamagedObject(layout.chain_name(seen.seq), "content", "is not the entry seen before: it was replaced")]
    return []


def _state_text(state: ChainAction | None) -> str:
    return {
        None: "no such backup was ever published",
        "publish": "it is listed",
        "undelete": "it is listed",
        "expire": "it is in the trash",
        "prune": "it was removed for good",
    }[state]
