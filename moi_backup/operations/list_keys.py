"""What keys a repository has and which of them this process holds; without opening it, so a lost key can be told."""

from __future__ import annotations

from typing import Literal

import msgspec

from moi_backup.errors import WrongKey
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.key_sources import GivenKeys, KeySource, read_keys
from moi_backup.repository.key_text import ExportedScopes, MasterKey
from moi_backup.repository.repository import identify
from moi_backup.repository.scope_keys import KeyEntry, open_entry, read_entries

State = Literal["open", "locked", "destroyed"]


class GivenKey(msgspec.Struct, frozen=True, kw_only=True):
    """A configured key: `id` recognises a master key, `holds` names the scope keys of an export."""

    variable: str
    source: str
    kind: Literal["master", "scopes", "unusable"]
    id: str = ""
    holds: tuple[str, ...] = ()
    problem: str = ""


class KeyState(msgspec.Struct, frozen=True, kw_only=True):
    """A scope key of the repository. It is wrapped by master key `master`; `why` says why it is not open."""

    scope: str
    number: int
    id: str
    created_at: str
    master: int
    master_id: str
    rotation: int
    state: State
    why: str = ""


class KeyList(msgspec.Struct, frozen=True, kw_only=True):
    """All keys. `unwrapped_by_newest` is how many are not yet wrapped by the newest master key that is configured."""

    repository: str
    encrypted: bool
    given: tuple[GivenKey, ...]
    keys: tuple[KeyState, ...]
    unwrapped_by_newest: int


def list_keys(workspace: Workspace) -> KeyList:
    """The keys of the repository and of this process; a configured key that cannot be had is listed as such."""
    store = workspace.store()
    identity = identify(store)
    entries = read_entries(store) if identity.is_encrypted else []
    given = tuple(_given(source) for source in workspace.settings.keys)
    usable = read_keys([source for source, key in zip(workspace.settings.keys, given, strict=True) if not key.problem])
    newest = usable.newest
    return KeyList(
        repository=identity.id,
        encrypted=identity.is_encrypted,
        given=given,
        keys=tuple(_state(entry, usable, repository=identity.id) for entry in entries),
        unwrapped_by_newest=0
        if newest is None
        else sum(not entry.destroyed_at and entry.master_id != newest.id for entry in entries),
    )


def _given(source: KeySource) -> GivenKey:
    try:
        key = source.read()
    except WrongKey as error:
        return GivenKey(variable=source.variable, source=source.shown, kind="unusable", problem=error.what)
    if isinstance(key, MasterKey):
        return GivenKey(variable=source.variable, source=source.shown, kind="master", id=key.id)
    return GivenKey(variable=source.variable, source=source.shown, kind="scopes", holds=_names(key))


def _names(exported: ExportedScopes) -> tuple[str, ...]:
    return tuple(key.name for key in exported.keys)


def _state(entry: KeyEntry, given: GivenKeys, *, repository: str) -> KeyState:
    opened = open_entry(entry, given, repository=repository)
    return KeyState(
        scope=entry.scope,
        number=entry.number,
        id=entry.key_id,
        created_at=entry.created_at,
        master=entry.master,
        master_id=entry.master_id,
        rotation=entry.rotation,
        state="destroyed" if entry.destroyed_at else "locked" if isinstance(opened, str) else "open",
        why=opened if isinstance(opened, str) else "",
    )
