"""Sweep: what killed and lost runs left beside the data: temporary files, marks that do not count, old leases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from moi_backup.operations.backup_debris import abandoned_files, remove
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.chain import read_chain
from moi_backup.repository.leases import outdated_epochs
from moi_backup.repository.marks import orphaned_marks
from moi_backup.repository.repository import Repository
from moi_backup.storage.store import ObjectInfo


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What was (or with a dry run would be) removed of one kind: temporary, marks or leases."""

    kind: str
    removed: int
    bytes: int


class SweepResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a sweep removed, of every kind it looks for."""

    dry_run: bool
    kinds: tuple[Swept, ...]


class _Plan(NamedTuple):
    temporary: Sequence[Path]
    marks: Sequence[ObjectInfo]
    leases: Sequence[ObjectInfo]


def sweep(workspace: Workspace, *, dry_run: bool = False) -> SweepResult:
    """Remove temporary files that nobody touched for a day, marks the chain passed by, and epochs of leases that ended.

    Needs no lease: none of it can be in use, and nothing that a backup needs is looked at. Raises Damaged when the
    chain is: then no mark can be judged.
    """
    repository = workspace.open()
    plan = _plan(repository, now=workspace.clock.now().timestamp())
    sizes = {path: _size(path) for path in plan.temporary}
    temporary = plan.temporary
    if not dry_run:
        for info in (*plan.marks, *plan.leases):
            repository.store.delete(info.name)
        temporary = [path for path in plan.temporary if remove(path)]
    return SweepResult(
        dry_run=dry_run,
        kinds=(
            Swept(kind="temporary", removed=len(temporary), bytes=sum(sizes[path] for path in temporary)),
            _swept("marks", plan.marks),
            _swept("leases", plan.leases),
        ),
    )


def _plan(repository: Repository, *, now: float) -> _Plan:
    return _Plan(
        temporary=list(abandoned_files(repository.store, now=now)),
        marks=orphaned_marks(repository, read_chain(repository)),
        leases=outdated_epochs(repository.store),
    )


def _swept(kind: str, objects: Sequence[ObjectInfo]) -> Swept:
    return Swept(kind=kind, removed=len(objects), bytes=sum(info.size for info in objects))


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; what is gone meanwhile has none."""
    try:
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        return sum(file.stat().st_size for file in files)
    except FileNotFoundError:
        return 0
