"""Verify the copy as the repository is verified, beside it or alone, and say how far it lags behind."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from moi_backup.errors import Damaged, MoiError, UsageError
from moi_backup.operations.progress import Progress, Silent
from moi_backup.operations.verify import CopyVerification, Subset, Verification, verify
from moi_backup.operations.workspace import Workspace
from moi_backup.repository import layout
from moi_backup.repository.chain import Chain, published, scan_chain
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.repository import Repository
from moi_backup.repository.verify import Fault
from moi_backup.settings import RepositorySetting


@dataclass(frozen=True, slots=True)
class VerifyRequest:
    """What a person asked for; see `verify`."""

    backup: str | None = None
    read_data: bool = False
    subset: Subset | None = None


def verify_primary(workspace: Workspace, request: VerifyRequest, *, progress: Progress | None = None) -> Verification:
    """Verify the repository alone."""
    return _verify(workspace, request, workspace.open(), progress or Silent())


def verify_both(
    workspace: Workspace,
    request: VerifyRequest,
    *,
    copy: RepositorySetting | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Verify the repository and its copy at `copy` (None: the configured one).

    A copy that cannot be opened is a fault of the copy. Raises what `verify` raises for the repository itself.
    """
    progress = progress or Silent()
    primary, second = workspace.open(), _copy_of(workspace, copy)
    found = _verify(workspace, request, primary, progress)
    progress.step("The same for the copy.")
    if isinstance(second, Damaged):
        return msgspec.structs.replace(found, copy=_unreadable(workspace, copy, second))
    _require_copy(second, primary)
    verified = _verify(workspace, request, second, progress)
    return msgspec.structs.replace(found, copy=_as_copy(verified, behind=_behind(primary, second)))


def verify_copy(
    workspace: Workspace,
    request: VerifyRequest,
    *,
    copy: RepositorySetting | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Verify the copy alone, also where the repository itself is gone."""
    try:
        primary = workspace.open()
    except MoiError as error:
        found = _verify(workspace, request, workspace.open_copy(copy), progress or Silent())
        note = f"How far the copy lags is not known: the repository cannot be read. {error.what}"
        return msgspec.structs.replace(found, notes=(*found.notes, note))
    second = workspace.open_copy(copy)
    _require_copy(second, primary)
    found = _verify(workspace, request, second, progress or Silent())
    return msgspec.structs.replace(found, behind=_behind(primary, second))


def _verify(workspace: Workspace, request: VerifyRequest, repository: Repository, progress: Progress) -> Verification:
    return verify(
        workspace,
        backup=request.backup,
        read_data=request.read_data,
        subset=request.subset,
        progress=progress,
        repository=repository,
    )


def _copy_of(workspace: Workspace, place: RepositorySetting | None) -> Repository | Damaged:
    """The copy, or the damage that keeps it from being opened."""
    try:
        return workspace.open_copy(place)
    except Damaged as error:
        return error


def _require_copy(copy: Repository, primary: Repository) -> None:
    if copy.id != primary.id:
        raise UsageError(
            f"{copy.store.address} is the repository {copy.id}, not a copy of {primary.id}.",
            remedy="Name the place of the copy, or make one with moi-backup copy.",
        )


def _as_copy(found: Verification, *, behind: tuple[str, ...]) -> CopyVerification:
    return CopyVerification(
        repository=found.repository,
        backups=found.backups,
        behind=behind,
        rows=found.rows,
        faults=found.faults,
        data=found.data,
        marked=found.marked,
        unmarked=found.unmarked,
        notes=found.notes,
        seconds=found.seconds,
    )


def _unreadable(workspace: Workspace, place: RepositorySetting | None, error: Damaged) -> CopyVerification:
    name = error.object_name if isinstance(error, DamagedObject) else layout.REPOSITORY
    kind = error.kind if isinstance(error, DamagedObject) else "unreadable"
    return CopyVerification(
        repository=workspace.copy_store(place).address,
        backups=(),
        behind=(),
        rows=0,
        faults=(Fault(name, kind, error.what),),
        data=None,
        marked=0,
        unmarked=0,
        notes=(),
        seconds=0.0,
    )


def _behind(primary: Repository, copy: Repository) -> tuple[str, ...]:
    there = set(_listed(copy))
    return tuple(backup for backup in _listed(primary) if backup not in there)


def _listed(repository: Repository) -> list[str]:
    scan = scan_chain(repository)
    return published(Chain(scan.entries, scan.head))
