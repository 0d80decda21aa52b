"""A repository is made, and backups are: what must hold in an encrypted one as well."""

from __future__ import annotations

import os

from moi_backup.errors import NoRepository, UsageError
from moi_backup.operations.initialise import initialise
from tests.engine.crash.operation import require_no_fault, require_restorable, require_sound
from tests.engine.crash.place import Place
from tests.engine.crash.shop import rows


def initialise_place(place: Place) -> None:
    """Make the repository as the command does."""
    initialise(place.workspace, entropy=os.urandom)


def look_after_init(place: Place, before: Place) -> None:
    """There is a whole repository or none."""
    try:
        place.workspace.open()
    except NoRepository:
        return
    require_no_fault(place)


def go_on_after_init(place: Place, before: Place) -> None:
    """Where there is none, making it works; where there is one, making another is refused."""
    try:
        place.workspace.open()
    except NoRepository:
        initialise_place(place)
    try:
        initialise_place(place)
    except UsageError:
        require_sound(place, rows(place))
        return
    raise AssertionError("a second repository was made over the first")


def new_backups(place: Place, before: Place) -> list[str]:
    """The backups that were not listed before; those that were still are."""
    known = [manifest.id for manifest in before.backups()]
    listed = [manifest.id for manifest in place.backups()]
    assert listed[: len(known)] == known
    return listed[len(known) :]


def look_after_backup(place: Place, before: Place) -> None:
    """The backups there were, and the new one or not."""
    assert len(new_backups(place, before)) <= 1
    require_no_fault(place)


def go_on_after_backup(place: Place, before: Place) -> None:
    """Where the new backup is listed it is whole."""
    now = rows(place)
    for new in new_backups(place, before):
        require_restorable(place, now, backup=new)
    require_sound(place, now)
