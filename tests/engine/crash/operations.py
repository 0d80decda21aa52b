"""The operations that are killed: one entry each says how it begins, what it does, and what must hold afterwards.

To have another operation killed, add its entry to OPERATIONS.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from moi_backup.errors import Damaged, NoRepository, PartlyDone, UsageError
from moi_backup.model.restore import RestoreResult
from moi_backup.model.table import TableName
from moi_backup.operations.initialise import initialise
from moi_backup.operations.verify import verify
from tests.engine.crash.place import Place
from tests.engine.crash.shop import CHANGE, DAMAGE, SCRIPT, highest_order, next_order, rows


@dataclass(frozen=True, slots=True)
class Operation:
    """`prepare` makes the state before; `run` is killed. What follows happens in fresh processes.

    `look` changes nothing and says what must hold after every kill, given the place then and the untouched one before;
    after a fault of the store `look_after_fault`, where more is allowed. `go_on` carries on as a person would and says
    what must hold in the end. `remade` names the database that the operation changes, if any.
    """

    prepare: Callable[[Place], None]
    run: Callable[[Place], object]
    look: Callable[[Place, Place], None]
    go_on: Callable[[Place, Place], None]
    remade: Literal["", "url", "target"] = ""
    look_after_fault: Callable[[Place, Place], None] | None = None


def require_no_fault(place: Place) -> None:
    """At most debris."""
    found = verify(place.workspace)
    assert (found.faults, found.notes) == ((), ()), found
    assert found.debris is not None
    assert found.debris.unknown == (), found.debris


def require_sound(place: Place, expected: dict[str, str]) -> None:
    """The next backup and a restore of it work unaided and bring the rows expected; every stored byte is right."""
    taken = place.back_up(wait=0.0)
    require_restorable(place, expected, backup=taken.manifest.id)
    found = verify(place.workspace, read_data=True)
    assert (found.faults, found.notes) == ((), ()), found


def require_restorable(place: Place, expected: dict[str, str], *, backup: str = "latest") -> None:
    """The backup restores exactly these rows."""
    place.sql("DROP SCHEMA IF EXISTS proof CASCADE", url=place.target)
    result = place.restore(place.target, backup=backup, schema="proof")
    assert result.complete, result
    assert rows(place, url=place.target, schema="proof") == expected


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


def _initialise(place: Place) -> None:
    initialise(place.workspace, entropy=os.urandom)


def _look_after_init(place: Place, before: Place) -> None:
    """There is a whole repository or none."""
    try:
        place.workspace.open()
    except NoRepository:
        return
    require_no_fault(place)


def _go_on_after_init(place: Place, before: Place) -> None:
    """Where there is none, making it works; where there is one, making another is refused."""
    try:
        place.workspace.open()
    except NoRepository:
        _initialise(place)
    try:
        _initialise(place)
    except UsageError:
        require_sound(place, rows(place))
        return
    raise AssertionError("a second repository was made over the first")


def _new_backups(place: Place, before: Place) -> list[str]:
    """The backups that were not listed before; those that were still are."""
    known = [manifest.id for manifest in before.backups()]
    listed = [manifest.id for manifest in place.backups()]
    assert listed[: len(known)] == known
    return listed[len(known) :]


def _look_after_backup(place: Place, before: Place) -> None:
    """The backups there were, and the new one or not."""
    assert len(_new_backups(place, before)) <= 1
    require_no_fault(place)


def _go_on_after_backup(place: Place, before: Place) -> None:
    """Where the new backup is listed it is whole."""
    now = rows(place)
    for new in _new_backups(place, before):
        require_restorable(place, now, backup=new)
    require_sound(place, now)


def _restore_new(place: Place) -> None:
    _require_complete(place.restore(place.target))


def _look_after_restore(place: Place, before: Place) -> None:
    """No table or all of them, and the sequence goes on behind the rows."""
    assert rows(place, url=place.target) in ({}, rows(place))
    _look_after_failed_restore(place, before)


def _look_after_failed_restore(place: Place, before: Place) -> None:
    """A table that failed is not there, the others are whole."""
    found = rows(place, url=place.target)
    assert found.items() <= rows(place).items(), found
    if "orders" in found:
        assert next_order(place, url=place.target) > highest_order(place, url=place.target)
    require_no_fault(place)


def _go_on_after_restore(place: Place, before: Place) -> None:
    """Where a table is missing, the next restore works (of all tables: foreign keys join them)."""
    if rows(place, url=place.target) != rows(place):
        place.sql("DROP TABLE IF EXISTS orders, customers CASCADE", url=place.target)
        _restore_new(place)
    _look_after_restore(place, before)
    assert rows(place, url=place.target) == rows(place)
    require_sound(place, rows(place))


def _restore_scratch(place: Place) -> None:
    _require_complete(place.restore(place.target, schema="scratch"))


def _look_after_scratch(place: Place, before: Place) -> None:
    """No table or all of them."""
    assert rows(place, url=place.target, schema="scratch") in ({}, rows(place))
    require_no_fault(place)


def _look_after_failed_scratch(place: Place, before: Place) -> None:
    """A table that failed is not there, the others are whole."""
    assert rows(place, url=place.target, schema="scratch").items() <= rows(place).items()
    require_no_fault(place)


def _go_on_after_scratch(place: Place, before: Place) -> None:
    """The next restore brings the tables that are missing."""
    found = rows(place, url=place.target, schema="scratch")
    missing = tuple(TableName("public", name) for name in rows(place) if name not in found)
    if missing:
        _require_complete(place.restore(place.target, tables=missing, schema="scratch"))
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
    assert _new_backups(place, before) == []
    require_no_fault(place)


def _go_on_after_verify(place: Place, before: Place) -> None:
    require_restorable(place, rows(place))
    require_sound(place, rows(place))


OPERATIONS = {
    "init": Operation(_prepare_nothing, _initialise, _look_after_init, _go_on_after_init),
    "first backup": Operation(_prepare_repository, Place.back_up, _look_after_backup, _go_on_after_backup),
    "incremental backup": Operation(_prepare_change, Place.back_up, _look_after_backup, _go_on_after_backup),
    "restore into new tables": Operation(
        _prepare_backup,
        _restore_new,
        _look_after_restore,
        _go_on_after_restore,
        remade="target",
        look_after_fault=_look_after_failed_restore,
    ),
    "restore into a scratch schema": Operation(
        _prepare_backup,
        _restore_scratch,
        _look_after_scratch,
        _go_on_after_scratch,
        remade="target",
        look_after_fault=_look_after_failed_scratch,
    ),
    "restore in place": Operation(
        _prepare_loss, _restore_in_place, _look_after_replacing, _go_on_after_replacing, remade="url"
    ),
    "verify": Operation(_prepare_backup, _verify, _look_after_verify, _go_on_after_verify),
}
