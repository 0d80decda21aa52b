"""Expire backups (into the trash) and bring them back. What they need stays until a prune."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from zoneinfo import ZoneInfo

import msgspec

from moi_backup.errors import Damaged, UsageError
from moi_backup.model.backup import BackupManifest
from moi_backup.operations.workspace import Workspace
from moi_backup.repository import trash
from moi_backup.repository.backups import LATEST, resolve_backup, resolve_id, try_backups
from moi_backup.repository.chain import Chain, expired, published, read_chain
from moi_backup.repository.holds import UNDO_DAYS, held_until, is_held
from moi_backup.repository.repository import Repository


class Expiry(msgspec.Struct, frozen=True, kw_only=True):
    """The backups that changed their state, in the order they were named, and what a person should know."""

    backups: tuple[str, ...]
    notes: tuple[str, ...]


def expire_backups(workspace: Workspace, backups: Sequence[str], *, wait: float = 0.0) -> Expiry:
    """Put listed backups (ids or unique prefixes) into the trash, one after the other.

    Those that are there already (ids) are noted, so that a command that was cut can be repeated. Raises UsageError,
    before anything is changed, for one that is neither or is held, or when none is left to do; Locked while another
    operation writes.
    """
    repository, notes = workspace.open(), list[str]()
    with workspace.writing(repository, operation="expire", wait=wait, tell=notes.append) as lease:
        chain = read_chain(repository)
        chosen, done = _chosen(chain, backups, among=published(chain), done=expired(chain))
        _refuse_held(workspace, repository, chain, chosen)
        lost = [
            backup
            for backup in chosen
            if not trash.expire(repository, chain, backup, at=workspace.clock.now(), lease=lease)
        ]
        notes += [f"{backup} is in the trash already." for backup in done]
        notes += [
            f"The manifest of {backup} is damaged or missing, so undelete cannot bring it back." for backup in lost
        ]
        notes += _nothing_left(repository)
    return Expiry(backups=tuple(chosen), notes=tuple(notes))


def undelete_backups(workspace: Workspace, backups: Sequence[str], *, wait: float = 0.0) -> Expiry:
    """Take expired backups (ids or unique prefixes) out of the trash: they are listed again, as they were.

    Those that are listed already (ids) are noted. Raises UsageError, before anything is changed, for one that is
    neither, or when none is left to do; DamagedObject when its manifest is lost; Locked while another operation writes.
    """
    repository, notes = workspace.open(), list[str]()
    with workspace.writing(repository, operation="undelete", wait=wait, tell=notes.append) as lease:
        chain = read_chain(repository)
        chosen, done = _chosen(chain, backups, among=expired(chain), done=published(chain))
        for backup in chosen:
            trash.undelete(repository, chain, backup, at=workspace.clock.now(), lease=lease)
        notes += [f"{backup} is listed already." for backup in done]
    return Expiry(backups=tuple(chosen), notes=tuple(notes))


def _refuse_held(workspace: Workspace, repository: Repository, chain: Chain, backups: Sequence[str]) -> None:
    """Raise UsageError for those that are held, with the day each becomes free (in the configured zone).

    What a damaged manifest would say cannot be known, and holds nothing.
    """
    now, zone = workspace.clock.now(), ZoneInfo(workspace.configuration.source.timezone)
    manifests = [found for _, found in try_backups(repository, chain, backups) if isinstance(found, BackupManifest)]
    held = [
        f"{manifest.id} until {until.astimezone(zone):%Y-%m-%d}"
        for manifest in manifests
        if (until := held_until(manifest)) is not None and is_held(manifest, now=now)
    ]
    if held:
        raise UsageError(
            f"A backup is held: {', '.join(held)}.",
            meaning=f"It is what a restore replaced, kept for {UNDO_DAYS} days so that the restore can be undone. "
            "Nothing was expired.",
            remedy="Leave it out, or expire it from that day on.",
        )


def _chosen(
    chain: Chain, backups: Sequence[str], *, among: Collection[str], done: Collection[str]
) -> tuple[list[str], list[str]]:
    """The backups to change, and those that are as they shall be already; UsageError says why none is left."""
    already = [text for text in dict.fromkeys(backups) if text in done]
    left = [text for text in backups if text not in already] or backups
    chosen = list(dict.fromkeys(resolve_id(chain, text, among=among) for text in left))
    return chosen, already


def _nothing_left(repository: Repository) -> list[str]:
    """A warning when no complete backup is listed any more."""
    try:
        resolve_backup(repository, read_chain(repository), LATEST)
    except UsageError:
        return ["No complete backup is listed any more: nothing protects the database until the next one."]
    except Damaged as error:
        return [f"The newest complete backup is damaged. {error.what}"]
    return []
