"""Expire backups (into the trash) and bring them back. What they need stays until a prune."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from moi_backup.errors import Damaged, UsageError
from moi_backup.operations.workspace import Workspace
from moi_backup.repository import trash
from moi_backup.repository.backups import LATEST, resolve_backup, resolve_id
from moi_backup.repository.chain import expired, published, read_chain
from moi_backup.repository.repository import Repository


class Expiry(msgspec.Struct, frozen=True, kw_only=True):
    """The backups that changed their state, in the order they were named, and what a person should know."""

    backups: tuple[str, ...]
    notes: tuple[str, ...]


def expire_backups(workspace: Workspace, backups: Sequence[str], *, wait: float = 0.0) -> Expiry:
    """Put listed backups (ids or unique prefixes) into the trash, one after the other.

    Raises UsageError, before anything is changed, for one that is not listed; Locked while another operation writes.
    """
    repository = workspace.open()
    with workspace.writing(repository, operation="expire", wait=wait) as lease:
        chain = read_chain(repository)
        chosen = list(dict.fromkeys(resolve_id(chain, text, among=published(chain)) for text in backups))
        lost = [
            backup
            for backup in chosen
            if not trash.expire(repository, chain, backup, at=workspace.clock.now(), lease=lease)
        ]
        notes = [
            f"The manifest of {backup} is damaged or missing, so undelete cannot bring it back." for backup in lost
        ]
        notes += _nothing_left(repository)
    return Expiry(backups=tuple(chosen), notes=tuple(notes))


def undelete_backups(workspace: Workspace, backups: Sequence[str], *, wait: float = 0.0) -> Expiry:
    """Take expired backups (ids or unique prefixes) out of the trash: they are listed again, as they were.

    Raises UsageError, before anything is changed, for one that is not in the trash; DamagedObject when its manifest is
    lost; Locked while another operation writes.
    """
    repository = workspace.open()
    with workspace.writing(repository, operation="undelete", wait=wait) as lease:
        chain = read_chain(repository)
        chosen = list(dict.fromkeys(resolve_id(chain, text, among=expired(chain)) for text in backups))
        for backup in chosen:
            trash.undelete(repository, chain, backup, at=workspace.clock.now(), lease=lease)
    return Expiry(backups=tuple(chosen), notes=())


def _nothing_left(repository: Repository) -> list[str]:
    """A warning when no complete backup is listed any more."""
    try:
        resolve_backup(repository, read_chain(repository), LATEST)
    except UsageError:
        return ["No complete backup is listed any more: nothing protects the database until the next one."]
    except Damaged as error:
        return [f"The newest complete backup is damaged. {error.what}"]
    return []
