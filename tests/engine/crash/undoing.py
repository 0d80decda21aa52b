"""What a restore is about to replace is backed up while its lock is held, and killed at it."""

from __future__ import annotations

import psycopg

from moi_backup.model.table import TableName
from moi_backup.operations.store_undo import UndoRequest, store_undo
from tests.engine.crash.making import new_backups
from tests.engine.crash.operation import Operation, require_no_fault, require_restorable, require_sound
from tests.engine.crash.place import Place
from tests.engine.crash.shop import CHANGE, SCRIPT, rows

_ORDERS = TableName("public", "orders")
_RESTORE = "20261124T203000Z-000001"


def _prepare(place: Place) -> None:
    place.sql(SCRIPT)
    place.initialise()
    place.back_up(full=True)
    place.sql(CHANGE)


def _keep(place: Place) -> None:
    workspace = place.workspace
    entry = next(entry for entry in place.backups()[0].tables if entry.table == _ORDERS)
    like = workspace.open().read_table(entry.manifest)
    changes = place.folder / "moi.toml"  # any file will do
    request = UndoRequest(target=_ORDERS, like=like, days=None, restore=_RESTORE, reason="", changes=changes)
    with workspace.writing(workspace.open(), operation="restore", wait=0) as lease, psycopg.connect(place.url) as conn:
        conn.execute("LOCK TABLE orders IN SHARE ROW EXCLUSIVE MODE")
        store_undo(workspace, lease, place.url, request)


def _look(place: Place, before: Place) -> None:
    """The backups there were, and the new one or not."""
    assert len(new_backups(place, before)) <= 1
    require_no_fault(place)


def _go_on(place: Place, before: Place) -> None:
    """Where the new backup is listed it holds the rows that would have been replaced."""
    live = rows(place)
    for new in new_backups(place, before):
        require_restorable(place, {"orders": live["orders"]}, backup=new)
    require_sound(place, live)


UNDOING = {"backup before a restore": Operation(_prepare, _keep, _look, _go_on)}
