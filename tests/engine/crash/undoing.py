"""What a restore is about to replace is backed up under its lock, and put back: both are killed at it."""

from __future__ import annotations

import psycopg

from moi_backup.errors import PartlyDone
from moi_backup.model.restore import RestoreResult
from moi_backup.model.table import TableName
from moi_backup.model.undo import UndoOrder
from moi_backup.operations.list_restores import list_restores
from moi_backup.operations.store_undo import UndoRequest, store_undo
from moi_backup.operations.undo import undo
from tests.engine.crash.making import new_backups
from tests.engine.crash.operation import Operation, require_no_fault, require_restorable, require_sound
from tests.engine.crash.place import Place
from tests.engine.crash.shop import CHANGE, DAMAGE, SCRIPT, rows

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


def _complete(result: RestoreResult) -> None:
    if not result.complete:
        raise PartlyDone("; ".join([*(table.error for table in result.tables if table.error), *result.problems]))


def _prepare_loss(place: Place) -> None:
    """A loss; the rows as they are then also lie in the schema `lost`."""
    place.sql(SCRIPT)
    place.initialise()
    place.back_up(full=True)
    place.sql(DAMAGE)
    place.sql("CREATE SCHEMA lost; CREATE TABLE lost.customers AS TABLE customers")
    place.sql("CREATE TABLE lost.orders AS TABLE orders")


def _prepare_restored(place: Place) -> None:
    """The loss was restored in place; the restored rows also lie in the schema `good`."""
    _prepare_loss(place)
    _restore(place)
    place.sql("CREATE SCHEMA good; CREATE TABLE good.customers AS TABLE customers")
    place.sql("CREATE TABLE good.orders AS TABLE orders")


def _restore(place: Place) -> None:
    _complete(place.restore_in_place())


def _take_back(place: Place, restore: str) -> RestoreResult:
    result = undo(place.workspace, place.url, UndoOrder(restore=restore, reason="a test"))
    _complete(result)
    return result


def _undo(place: Place) -> None:
    _take_back(place, list_restores(place.workspace).restores[-1].id)


def _look_at_undone(place: Place, before: Place) -> None:
    """Each table as the restore left it or as it was before, never between."""
    good, lost, found = rows(place, schema="good"), rows(place, schema="lost"), rows(place)
    assert all(found[table] in (good[table], lost[table]) for table in good), found
    require_no_fault(place)


def _go_on_after_undo(place: Place, before: Place) -> None:
    """The same undo does the rest; what the killed one did is undone by its id, recorded or not."""
    first = list_restores(before.workspace).restores[-1].id
    others = {str(backup.restore) for backup in place.backups() if backup.kind == "pre_restore"} - {first}
    _take_back(place, first)
    assert rows(place) == rows(place, schema="lost")
    if others:
        _take_back(place, others.pop())
        found, good, lost = (rows(place, schema=schema) for schema in ("public", "good", "lost"))
        assert all(found[table] in (good[table], lost[table]) for table in good), found
    require_sound(place, rows(place))


def _look_at_restored(place: Place, before: Place) -> None:
    require_no_fault(place)


def _go_on_after_restore(place: Place, before: Place) -> None:
    """Whatever the killed restore did is undone by the id that its backups name: every row is as before it."""
    restores = {str(backup.restore) for backup in place.backups() if backup.kind == "pre_restore"}
    for restore in restores:
        _take_back(place, restore)
    assert rows(place) == rows(place, schema="lost")
    require_sound(place, rows(place))


UNDOING = {
    "backup before a restore": Operation(_prepare, _keep, _look, _go_on),
    "undo": Operation(_prepare_restored, _undo, _look_at_undone, _go_on_after_undo, remade="prepared"),
    "restore that is undone": Operation(_prepare_loss, _restore, _look_at_restored, _go_on_after_restore, remade="url"),
}
