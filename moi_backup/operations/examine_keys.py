"""Examine the keys: which are given, what they open, who can read them, and whether they were rotated."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from moi_backup.errors import MoiError, NoRepository
from moi_backup.model.key_ring import DEFAULT_SCOPE
from moi_backup.operations.examined import Examined
from moi_backup.operations.list_keys import GivenKey, KeyList, KeyState, list_keys
from moi_backup.operations.workspace import Workspace
from moi_backup.repository import layout
from moi_backup.repository.key_sources import KeySource

ROTATION_DAYS = 400
_OTHERS = 0o077


def examine_keys(workspace: Workspace) -> Iterator[Examined]:
    """All checks of the keys; nothing where there is no repository, which another check tells."""
    for source in workspace.settings.keys:
        yield from _file(source)
    try:
        found = list_keys(workspace)
        if not found.encrypted:
            yield _plain(found)
            return
        yield from map(_given, found.given)
        yield _scopes(found)
        yield _rotation(workspace, found)
    except NoRepository:
        return
    except MoiError as error:
        yield Examined.of_error("keys", error)


def _plain(found: KeyList) -> Examined:
    if found.given:
        text = f"the repository is not encrypted, and {found.given[0].variable} is set"
        remedy = f"Make an encrypted repository in another place, or unset {found.given[0].variable}."
        return Examined(name="encryption", level="fail", text=text, remedy=remedy)
    return Examined(name="encryption", level="ok", text="none: the repository is readable for who can read its place")


def _file(source: KeySource) -> Iterator[Examined]:
    """A key file that others can read is no secret; one that cannot be read at all is told by `_given`."""
    mode = source.file_mode()
    if mode is not None and mode & _OTHERS:
        text = f"{source.variable} is in {source.shown}, which other users of this machine can read or change"
        remedy = f"chmod 600 {source.shown.removeprefix('file:')}, and see who could have read it."
        yield Examined(name="key file", level="warn", text=text, remedy=remedy)


def _given(key: GivenKey) -> Examined:
    if key.kind == "unusable":
        remedy = "Give the whole key, or unset the variable."
        return Examined(name=key.variable, level="fail", text=key.problem, remedy=remedy)
    told = f"master key, id {key.id}" if key.kind == "master" else f"exported keys: {', '.join(key.holds)}"
    return Examined(name=key.variable, level="ok", text=f"{told}, from {key.source}")


def _scopes(found: KeyList) -> Examined:
    locked = [key for key in found.keys if key.state == "locked"]
    opened = [key for key in found.keys if key.state == "open"]
    text = f"open: {_names(opened) or 'none'}; locked: {_names(locked) or 'none'}"
    if not locked:
        return Examined(name="keys", level="ok", text=text)
    level = "fail" if any(key.scope == DEFAULT_SCOPE for key in locked) else "warn"
    remedy = f"{_names(locked[:1])}: {locked[0].why}. Without it no backup of its columns is possible."
    return Examined(name="keys", level=level, text=text, remedy=remedy)


def _rotation(workspace: Workspace, found: KeyList) -> Examined:
    """The store's time of an entry is that of its last wrapping: nothing else replaces an entry that is alive."""
    if found.unwrapped_by_newest:
        text = f"{found.unwrapped_by_newest} of {len(found.keys)} keys are not yet under the newest master key"
        return Examined(name="key rotation", level="warn", text=text, remedy="Run moi-backup key rotate.")
    store = workspace.store()
    alive = [layout.key_name(key.scope, key.number) for key in found.keys if key.state != "destroyed"]
    oldest = min((store.info(name).modified for name in alive), default=workspace.clock.now().timestamp())
    days = (workspace.clock.now() - datetime.fromtimestamp(oldest, UTC)).days
    if days <= ROTATION_DAYS:
        return Examined(name="key rotation", level="ok", text=f"the last one {max(days, 0)} days ago, or never needed")
    text = f"no rotation for {days} days"
    remedy = "Rotate the master key once a year (docs/keys.md, Rotate every year)."
    return Examined(name="key rotation", level="warn", text=text, remedy=remedy)


def _names(keys: list[KeyState]) -> str:
    return ", ".join(f"{key.scope}.{key.number}" for key in keys)
