"""Which backup is meant: `BACKUP` is an id, a unique prefix of one, `latest`, `latest-full` or a moment."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime

from moi_backup.errors import Damaged, StorageError, UsageError
from moi_backup.model.backup import BackupManifest
from moi_backup.model.moment import looks_like_moment, parse_moment
from moi_backup.repository.chain import Chain, manifest_hashes, published, states
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.reading import Unreadable
from moi_backup.repository.repository import Repository
from moi_backup.storage.at_once import in_order

LATEST, LATEST_FULL = "latest", "latest-full"
_SHOWN = 10


def read_backups(repository: Repository, chain: Chain) -> Iterator[BackupManifest]:
    """The manifests of all listed backups in the order of publishing; raises DamagedObject at a damaged one."""
    for _, found in try_backups(repository, chain, published(chain)):
        if isinstance(found, BackupManifest):
            yield found
        else:
            raise found


def try_backups(
    repository: Repository, chain: Chain, backups: Iterable[str]
) -> Iterator[tuple[str, BackupManifest | Unreadable]]:
    """Each of the backups (ids of the chain) with its manifest, or with what keeps it from being read, in order."""

    def read(backup: str) -> tuple[str, BackupManifest | Unreadable]:
        try:
            return backup, read_backup(repository, chain, backup)
        except (Damaged, StorageError) as error:
            return backup, error

    return in_order(read, backups, threads=repository.store.requests_at_once)


def read_backup(repository: Repository, chain: Chain, backup: str) -> BackupManifest:
    """The manifest of a backup that was published under this exact id, checked against the chain."""
    return _checked(repository, backup, stored=manifest_hashes(chain)[backup])


def resolve_backup(repository: Repository, chain: Chain, text: str) -> BackupManifest:
    """The manifest of the backup that a person named; raises UsageError saying why it is none, or which are meant."""
    if text in (LATEST, LATEST_FULL):
        return _latest(repository, chain, full=text == LATEST_FULL)
    if looks_like_moment(text):
        return _at_moment(repository, chain, text)
    return read_backup(repository, chain, resolve_id(chain, text, among=published(chain)))


def resolve_id(chain: Chain, text: str, *, among: Collection[str]) -> str:
    """The id that a person named by itself or a unique prefix; raises UsageError. No manifest is read."""
    found = [text] if text in among else [backup for backup in among if backup.startswith(text)]
    if not found or not text:
        raise _unknown(text, chain)
    if len(found) > 1:
        raise _ambiguous(text, found)
    return found[0]


def is_recovery_point(manifest: BackupManifest) -> bool:
    """Whether a backup can be `latest`: complete, and not taken on the way to an upload or a restore."""
    return manifest.coverage.complete and manifest.kind in ("full", "incremental")


def _checked(repository: Repository, backup: str, *, stored: str) -> BackupManifest:
    manifest = repository.read_backup(backup, stored=stored)
    if manifest.id != backup:
        raise DamagedObject(f"backups/{backup}", "inconsistent", f"is the manifest of {manifest.id}")
    return manifest


def _latest(repository: Repository, chain: Chain, *, full: bool) -> BackupManifest:
    listed = published(chain)
    for backup in reversed(listed):
        manifest = read_backup(repository, chain, backup)
        if is_recovery_point(manifest) and (manifest.kind == "full" or not full):
            return manifest
    what = "full backup" if full else "backup"
    others = f" ({len(listed)} listed, but limited to tables or days, or not {what}s)" if listed else ""
    raise UsageError(
        f"There is no complete {what} yet{others}.",
        remedy="Take one with moi-backup backup --full, or name a backup by its id (moi-backup backups).",
    )


def _at_moment(repository: Repository, chain: Chain, text: str) -> BackupManifest:
    """The newest complete backup that had ended at a moment: it holds nothing that was written after it."""
    for backup in reversed(published(chain)):
        manifest = read_backup(repository, chain, backup)
        moment = parse_moment(text, timezone=manifest.timezone)
        if moment is None:
            break
        if is_recovery_point(manifest) and datetime.fromisoformat(manifest.finished_at) <= moment:
            return manifest
    raise UsageError(
        f"No complete backup had ended at {text}.",
        meaning="A moment without an offset is in the time zone of the backups (moi.toml, source.timezone).",
        remedy="See moi-backup backups for the moments there are.",
    )


def _ambiguous(text: str, found: list[str]) -> UsageError:
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return UsageError(
        f"{text!r} is the beginning of {len(found)} backups: {', '.join(found[-_SHOWN:])}{more}.",
        remedy="Give more of the id.",
    )


def _unknown(text: str, chain: Chain) -> UsageError:
    state = states(chain).get(text)
    if state == "expire":
        return UsageError(
            f"Backup {text} has expired and is in the trash.", remedy=f"Bring it back with moi-backup undelete {text}."
        )
    if state is not None and state != "prune":
        return UsageError(f"Backup {text} is listed, not in the trash.", remedy="See moi-backup backups --trash.")
    if state == "prune":
        return UsageError(f"Backup {text} has expired and was removed for good.", remedy="See moi-backup backups.")
    newest = published(chain)[-1:]
    remedy = (
        f"The newest is {newest[0]}; moi-backup backups lists all." if newest else "Take one with moi-backup backup."
    )
    return UsageError(f"No backup is called {text!r}{'' if newest else '; there are none yet'}.", remedy=remedy)
