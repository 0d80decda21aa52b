"""An encrypted repository: it is made, and keys are made, wrapped anew, replaced and destroyed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from moi_backup.lake.parquet import keys_of
from moi_backup.operations.check_keys import check_keys
from moi_backup.operations.destroy_scope import destroy_scope
from moi_backup.operations.prune import prune
from moi_backup.operations.rekey import rekey
from moi_backup.operations.rotate_keys import rotate_keys
from moi_backup.repository.reachability import reachable_chunks
from moi_backup.repository.scope_keys import KeyEntry, read_entries
from tests.engine.crash.history import (
    listed,
    prepare_history,
    require_listed_restore,
    require_listed_restore_without_pii,
)
from tests.engine.crash.making import (
    go_on_after_backup,
    go_on_after_init,
    initialise_place,
    look_after_backup,
    look_after_init,
)
from tests.engine.crash.operation import Operation, require_no_fault, require_sound
from tests.engine.crash.place import Place
from tests.engine.crash.shop import SCOPED, SCRIPT, rows

SCOPES = ("default", "financial", "pii")


def _prepare_scopes(place: Place) -> None:
    place.configure(SCOPED)
    place.sql(SCRIPT)


def _prepare_repository(place: Place) -> None:
    _prepare_scopes(place)
    place.initialise()


def _prepare_backups(place: Place) -> None:
    place.configure(SCOPED)
    prepare_history(place)


def _prepare_first_master(place: Place) -> None:
    """Everything is under the first master key; the operation has the second one too."""
    _prepare_backups(replace(place, keys=dict(list(place.keys.items())[:1])))


def _prepare_two_keys(place: Place) -> None:
    _prepare_backups(place)
    _rekey("pii")(place)


def _rotate(place: Place) -> None:
    rotate_keys(place.workspace, wait=0, entropy=os.urandom)


def _rekey(scope: str) -> Callable[[Place], object]:
    return lambda place: rekey(place.workspace, scope, wait=0)


def _destroy(place: Place) -> None:
    destroy_scope(place.workspace, "pii", wait=0)


def _look_after_keys(place: Place, before: Place) -> None:
    """The backups are those there were, and every key opens."""
    assert listed(place) == listed(before)
    assert check_keys(place.workspace).exit_code == 0
    require_no_fault(place)


def _look_after_first_backup(place: Place, before: Place) -> None:
    """As after any backup; no scope has a second key."""
    look_after_backup(place, before)
    assert {entry.number for entry in _entries(place)} == {1}


def _go_on_after_first_backup(place: Place, before: Place) -> None:
    """Keys that were made are used."""
    go_on_after_backup(place, before)
    assert [(entry.scope, entry.number) for entry in _entries(place)] == [(scope, 1) for scope in SCOPES]


def _go_on_after_rotate(place: Place, before: Place) -> None:
    """After the next one the new master key alone opens everything."""
    require_listed_restore(place)
    _rotate(place)
    alone = replace(place, keys=dict(list(place.keys.items())[1:]))
    require_listed_restore(alone)
    require_sound(alone, rows(alone))


def _go_on_after_rekey(scope: str) -> Callable[[Place, Place], None]:
    def go_on(place: Place, before: Place) -> None:
        """The next one leaves nothing under an old key, and a prune takes the old objects away."""
        require_listed_restore(place)
        _rekey(scope)(place)
        newest = max(entry.number for entry in _entries(place, scope))
        chunks = reachable_chunks(place.workspace.open(), place.backups())
        used = {number for found in chunks for name, number in keys_of(found.chunk.encoding) if name == scope}
        assert used == {newest}
        require_listed_restore(place)
        prune(place.workspace, grace_hours=0)
        require_listed_restore(place)
        require_sound(place, rows(place))

    return go_on


def _look_after_destroy(place: Place, before: Place) -> None:
    """The backups are those there were."""
    assert listed(place) == listed(before)
    require_no_fault(place)


def _go_on_after_destroy(place: Place, before: Place) -> None:
    """Everything is open, or all but the scope; after the next one it is all but the scope."""
    if _entries(place, "pii")[-1].destroyed_at:
        require_listed_restore_without_pii(place)
    else:
        require_listed_restore(place)
    _destroy(place)
    assert all(entry.destroyed_at and not entry.wrapped for entry in _entries(place, "pii"))
    require_listed_restore_without_pii(place)
    require_sound(place, rows(place), noted="pii")


def _entries(place: Place, *scopes: str) -> list[KeyEntry]:
    return [entry for entry in read_entries(place.workspace.store()) if entry.scope in (scopes or SCOPES)]


ENCRYPTED = {
    "encrypted init": Operation(_prepare_scopes, initialise_place, look_after_init, go_on_after_init, keys=1),
    "first encrypted backup": Operation(
        _prepare_repository, Place.back_up, _look_after_first_backup, _go_on_after_first_backup, keys=1
    ),
    "key rotate": Operation(_prepare_first_master, _rotate, _look_after_keys, _go_on_after_rotate, keys=2),
    "key rekey": Operation(_prepare_backups, _rekey("pii"), _look_after_keys, _go_on_after_rekey("pii"), keys=1),
    "key rekey of default": Operation(
        _prepare_backups, _rekey("default"), _look_after_keys, _go_on_after_rekey("default"), keys=1
    ),
    "key destroy": Operation(_prepare_two_keys, _destroy, _look_after_destroy, _go_on_after_destroy, keys=1),
}
