"""The operations that are killed: one entry each says how it begins, what it does, and what must hold afterwards.

To have another operation killed, add its entry to one of the dictionaries that make up OPERATIONS.
"""

from __future__ import annotations

from moi_backup.errors import Damaged, PartlyDone
from moi_backup.model.restore import RestoreResult
from moi_backup.operations.verify import verify
from tests.engine.crash.copying import COPIES
from tests.engine.crash.deletions import DELETIONS
from tests.engine.crash.encrypted import ENCRYPTED
from tests.engine.crash.making import (
    go_on_after_backup,
    go_on_after_init,
    initialise_place,
    look_after_backup,
    look_after_init,
    new_backups,
)
from tests.engine.crash.operation import Operation, require_no_fault, require_restorable, require_sound
from tests.engine.crash.place import Place
from tests.engine.crash.shop import CHANGE, DAMAGE, SCRIPT, highest_order, next_order, rows
from tests.engine.crash.undoing import UNDOING

_FOREIGN_KEYS = "SELECT conname::text FROM pg_constraint WHERE contype = 'f'"


def _require_complete(result: RestoreResult) -> None:
    if not result.complete:
        raise PartlyDone("; ".join([*(table.error for table in result.tables if table.error), *result.problems]))


def _prepare_nothing(place: Place) -> None:
    place.sql(SCRIPT)


def _prepare_repository(place: Place) -> None:
    place.sql(SCRIPT)
    place.initialise()


def _prepare_backup(place: Place) -> None:
    _prepare_repository(place)
    place.back_up(full=True)


def _prepare_change(place: Place) -> None:
    _prepare_backup(place)
    place.sql(CHANGE)


def _prepare_loss(place: Place) -> None:
    _prepare_backup(place)
    place.sql("CREATE SCHEMA good; CREATE TABLE good.customers AS TABLE customers")
    place.sql("CREATE TABLE good.orders AS TABLE orders")
    place.sql(DAMAGE)


def _restore_new(place: Place) -> None:
    _require_complete(place.restore(place.target, jobs=1))  # side by side the points would vary


def _look_after_restore(place: Place, before: Place) -> None:
    """Every table is whole or not there, and the sequence goes on behind the rows."""
    found = rows(place, url=place.target)
    assert found.items() <= rows(place).items(), found
    if "orders" in found:
        assert next_order(place, url=place.target) > highest_order(place, url=place.target)
    require_no_fault(place)


def _go_on_after_restore(place: Place, before: Place) -> None:
    """The same restore with --resume does the rest, the foreign key included."""
    _require_complete(place.restore(place.target, resume=True))
    assert place.sql(_FOREIGN_KEYS, url=place.target) == [("orders_customer_fkey",)]
    _look_after_restore(place, before)
    assert rows(place, url=place.target) == rows(place)
    require_sound(place, rows(place))


def _restore_scratch(place: Place) -> None:
    _require_complete(place.restore(place.target, schema="scratch", jobs=1))


def _look_after_scratch(place: Place, before: Place) -> None:
    """Every table is whole or not there."""
    assert rows(place, url=place.target, schema="scratch").items() <= rows(place).items()
    require_no_fault(place)


def _go_on_after_scratch(place: Place, before: Place) -> None:
    """The same restore with --resume brings the tables that are missing."""
    _require_complete(place.restore(place.target, schema="scratch", resume=True))
    assert rows(place, url=place.target, schema="scratch") == rows(place)
    require_sound(place, rows(place))


def _restore_in_place(place: Place) -> None:
    _require_complete(place.restore_in_place())


def _look_after_replacing(place: Place, before: Place) -> None:
    """Each table as before or as in the backup, never between."""
    lost, good, found = rows(before), rows(place, schema="good"), rows(place)
    assert all(found[table] in (lost[table], good[table]) for table in good), found
    require_no_fault(place)


def _go_on_after_replacing(place: Place, before: Place) -> None:
    """The next restore brings every row back, and the sequence goes on behind them."""
    _restore_in_place(place)
    assert rows(place) == rows(place, schema="good")
    assert next_order(place) > highest_order(place)
    require_sound(place, rows(place))


def _verify(place: Place) -> None:
    found = verify(place.workspace, read_data=True)
    if found.faults:
        raise Damaged("; ".join(f"{fault.object}: {fault.detail}" for fault in found.faults))


def _look_after_verify(place: Place, before: Place) -> None:
    """Every backup is still there and whole."""
    assert new_backups(place, before) == []
    require_no_fault(place)


def _go_on_after_verify(place: Place, before: Place) -> None:
    require_restorable(place, rows(place))
    require_sound(place, rows(place))


OPERATIONS = {
    "init": Operation(_prepare_nothing, initialise_place, look_after_init, go_on_after_init),
    "first backup": Operation(_prepare_repository, Place.back_up, look_after_backup, go_on_after_backup),
    "incremental backup": Operation(_prepare_change, Place.back_up, look_after_backup, go_on_after_backup),
    "restore into new tables": Operation(
        _prepare_backup,
        _restore_new,
        _look_after_restore,
        _go_on_after_restore,
        remade="target",
    ),
    "restore into a scratch schema": Operation(
        _prepare_backup,
        _restore_scratch,
        _look_after_scratch,
        _go_on_after_scratch,
        remade="target",
    ),
    "restore in place": Operation(
        _prepare_loss, _restore_in_place, _look_after_replacing, _go_on_after_replacing, remade="url"
    ),
    "verify": Operation(_prepare_backup, _verify, _look_after_verify, _go_on_after_verify),
    **UNDOING,
    **DELETIONS,
    **COPIES,
    **ENCRYPTED,
}
