"""What a copy lacks, decided from two listings and the source's history before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from moi_backup.operations.copy_source import CopySource
from moi_backup.operations.copy_target import missing_entries
from moi_backup.repository import layout
from moi_backup.repository.chain import Chain, published, states
from moi_backup.repository.marks import damaged_chunks
from moi_backup.repository.reachability import needed_names
from moi_backup.repository.reading import Unreadable
from moi_backup.storage.store import ObjectInfo, Store

# A backup in the copy names nothing that is not there: what is named is written before what names it.
STAGES = (
    (layout.KEYS,),
    (layout.CHUNKS, layout.FILES),
    (layout.TABLES,),
    (layout.TRASH,),
    (layout.BACKUPS,),
    (layout.RECORDS,),
)
_SEALED = (layout.FILES, layout.TABLES, layout.TRASH, layout.BACKUPS, layout.RECORDS)
_REMOVABLE = (layout.CHUNKS, layout.FILES, layout.TABLES, layout.TRASH, layout.BACKUPS)


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """What travels, in the order of writing, and what goes away.

    `entries` are the numbers of the chain entries to create, `backups` the listed backups they bring. `rewritten` are
    manifests the copy has in another form, which stays until its history has the new one. `unsettled` names keys that
    differ and cannot be judged without their keys. `kept` says why nothing is removed though it was asked.
    """

    entries: tuple[int, ...]
    backups: tuple[str, ...]
    stages: tuple[tuple[ObjectInfo, ...], ...]
    rewritten: tuple[ObjectInfo, ...]
    present: int
    removes: tuple[ObjectInfo, ...]
    unsettled: tuple[str, ...] = ()
    kept: str = ""

    @property
    def objects(self) -> tuple[ObjectInfo, ...]:
        """Everything that travels, chain entries left out."""
        return (*(info for stage in self.stages for info in stage), *self.rewritten)


def plan_copy(source: CopySource, target: Store, *, prune: bool) -> CopyPlan:
    """Compare by name and size; raises UsageError for a target that cannot be the copy of this source."""
    entries = missing_entries(source, target)
    wanted = {info.name: info for stage in STAGES for info in _wanted(source, stage)}
    there = {info.name: info for stage in STAGES for prefix in stage for info in target.list(prefix)}
    stale = damaged_chunks(target)
    lacking = [
        info for info in wanted.values() if not _same_size(info, there.get(info.name)) or _marked(info.name, stale)
    ]
    newer = [info for info in wanted.values() if _sealed_anew(source, info, there.get(info.name))]
    rewritten = tuple(info for info in newer if info.name.startswith(layout.BACKUPS))
    lacking = [info for info in lacking if info not in rewritten]
    lacking += [info for info in newer if info not in rewritten and info not in lacking]
    changed, unsettled = _changed_keys(source, target, [name for name in wanted if name in there])
    lacking += [wanted[name] for name in changed]
    removes, kept = _removable(source, there) if prune else ((), "")
    return CopyPlan(
        entries=tuple(entries),
        backups=_new_backups(source, entries),
        stages=tuple(tuple(info for info in lacking if info.name.startswith(stage)) for stage in STAGES),
        rewritten=rewritten,
        present=len(wanted) - len(lacking) - len(rewritten),
        removes=removes,
        unsettled=tuple(unsettled),
        kept=kept,
    )


def _wanted(source: CopySource, stage: tuple[str, ...]) -> Iterator[ObjectInfo]:
    """The source's objects; a manifest the history does not name belongs to a backup that is being taken."""
    known = source.checks.manifests if source.opened else None
    for prefix in stage:
        for info in source.store.list(prefix):
            if known is None or info.name in known or not info.name.startswith((layout.BACKUPS, layout.TRASH)):
                yield info


def _same_size(info: ObjectInfo, held: ObjectInfo | None) -> bool:
    return held is not None and held.size == info.size


def _sealed_anew(source: CopySource, info: ObjectInfo, held: ObjectInfo | None) -> bool:
    """Whether a sealed object was written under another key since it was copied: its name and size stay the same.

    By the stores' own times, since it must be seen without the keys; one that travels for nothing does no harm.
    """
    sealed = source.encrypted and info.name.startswith(_SEALED)
    return sealed and held is not None and info.modified > held.modified


def _marked(name: str, marks: frozenset[str]) -> bool:
    """Whether the target's own verification found this chunk damaged, so that it travels again."""
    return bool(marks) and name.startswith(layout.CHUNKS) and stored_part(name) in marks


def stored_part(chunk: str) -> str:
    """The part of a chunk's name that marks on it repeat."""
    return chunk.rpartition("/")[2].split(".")[1]


def _changed_keys(source: CopySource, target: Store, names: list[str]) -> tuple[list[str], list[str]]:
    """Wrapped keys that were wrapped anew, and those of which only their holder can tell a change from damage."""
    changed = [name for name in names if name.startswith(layout.KEYS) and source.store.get(name) != target.get(name)]
    return (changed, []) if source.opened else ([], changed)


def _new_backups(source: CopySource, entries: list[int]) -> tuple[str, ...]:
    if source.opened is None:
        return ()
    chain, new = source.opened[1], set(entries)
    brought = {entry.backup for entry in chain.entries if entry.seq in new}
    return tuple(backup for backup in published(chain) if backup in brought)


def _removable(source: CopySource, there: dict[str, ObjectInfo]) -> tuple[tuple[ObjectInfo, ...], str]:
    """What the source no longer has and no backup of its history needs; nothing when that cannot be told."""
    if source.opened is None:
        return (), "Nothing was removed: without the keys it cannot be told what backups need."
    unknown: list[Unreadable] = []
    repository, chain = source.opened
    needed = needed_names(repository, chain, on_damage=unknown.append) | _manifests(chain)
    if unknown:
        return (), f"Nothing was removed: it cannot be told what backups need. {unknown[0].what}"
    held = {info.name for prefix in _REMOVABLE for info in source.store.list(prefix)}
    gone = [name for name in there if name.startswith(_REMOVABLE) and name not in held and name not in needed]
    return tuple(there[name] for name in gone), ""


def _manifests(chain: Chain) -> set[str]:
    kept = [backup for backup, state in states(chain).items() if state != "prune"]
    return {name(backup) for backup in kept for name in (layout.backup_name, layout.trash_name)}
