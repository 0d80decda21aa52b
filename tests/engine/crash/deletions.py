"""Backups into the trash, back, and away for good; and what killed runs left beside the data."""

from __future__ import annotations

import os
from collections.abc import Callable

from moi_backup.errors import UsageError
from moi_backup.model.table import TableName
from moi_backup.operations.backup_debris import ABANDONED_SECONDS
from moi_backup.operations.expire_backups import expire_backups, undelete_backups
from moi_backup.operations.prune import plan_prune, prune
from moi_backup.operations.sweep import sweep
from moi_backup.repository import layout
from moi_backup.repository.chain import states
from moi_backup.repository.marks import encode_mark
from tests.engine.crash.history import expected, listed, prepare_history, require_listed_restore
from tests.engine.crash.operation import Operation, require_no_fault, require_sound
from tests.engine.crash.place import Place
from tests.engine.crash.shop import SCRIPT, rows

OLD = 2  # so many of the first backups go


def _old(place: Place) -> list[str]:
    return list(expected(place))[:OLD]


def _expire(place: Place) -> None:
    expire_backups(place.workspace, _old(place))


def _undelete(place: Place) -> None:
    undelete_backups(place.workspace, _old(place))


def _prune(place: Place) -> None:
    prune(place.workspace, grace_hours=0)


def _sweep(place: Place) -> None:
    sweep(place.workspace)


def _prepare_expired(place: Place) -> None:
    prepare_history(place)
    _expire(place)


def _prepare_unneeded(place: Place) -> None:
    """One backup in the trash and debris; the rows of that backup live again, so that the next one wants its chunks."""
    prepare_history(place)
    expire_backups(place.workspace, _old(place)[:1])
    repository, file = place.workspace.open(), place.folder / "debris"
    file.write_bytes(b"a chunk that no backup names")
    repository.store_chunk(TableName("public", "orders"), span="2025-01", digest="0" * 64, file=file)
    place.sql(f"DROP TABLE orders, customers; {SCRIPT}")


def _prepare_litter(place: Place) -> None:
    """A temporary folder of yesterday, marks that the chain passed by, and an ended epoch of the lease."""
    prepare_history(place)
    store = place.workspace.store()
    folder = store.scratch() / "left"
    folder.mkdir()
    (folder / "part").write_bytes(b"12345")
    moment = folder.stat().st_mtime - ABANDONED_SECONDS - 1
    os.utime(folder, (moment, moment))
    store.create(layout.mark_name(1, 9), encode_mark(["chunks/x"], seq=1, epoch=9))
    store.create(layout.done_name(2, 9), b"")
    store.create(layout.lease_name("writer", 1), b"{}")
    store.create(layout.beat_name("writer", 1), b"{}")


def _look_at_lists(place: Place, before: Place) -> None:
    """The first so many backups have changed their state, the others have not; the last is always listed."""
    known, found = list(expected(place)), listed(place)
    assert [backup for backup in known if backup in found] == found
    assert known[OLD:] == [backup for backup in found if backup not in known[:OLD]]
    in_order = [backup in found for backup in known[:OLD]]
    assert in_order in (sorted(in_order), sorted(in_order, reverse=True)), in_order
    require_no_fault(place)


def _look_at_the_same(place: Place, before: Place) -> None:
    """The listed backups are those there were."""
    assert listed(place) == listed(before)
    require_no_fault(place)


def _go_on_after(again: Callable[[Place], None], back: Callable[[Place], None]) -> Callable[[Place, Place], None]:
    """The same command completes what is left, and says so when nothing is; the opposite one brings everything back."""
    wanted = again is _undelete

    def go_on(place: Place, before: Place) -> None:
        require_listed_restore(place)
        if {backup in listed(place) for backup in _old(place)} != {wanted}:
            again(place)
        done = listed(place)
        assert {backup in done for backup in _old(place)} == {wanted}
        require_listed_restore(place)
        _refused(place, again)
        back(place)
        assert len(listed(place)) == len(done) + (-OLD if wanted else OLD)
        require_listed_restore(place)
        require_sound(place, rows(place))

    return go_on


def _refused(place: Place, again: Callable[[Place], None]) -> None:
    try:
        again(place)
    except UsageError:
        return
    raise AssertionError("it was done twice")


def _go_on_after_prune(place: Place, before: Place) -> None:
    """A backup works unaided and wants what is being deleted; the next prune ends the work."""
    require_listed_restore(place)
    require_sound(place, rows(place))
    _prune(place)
    plan = plan_prune(place.workspace, grace_hours=0)
    assert (plan.gone, plan.objects, plan.unfinished) == ((), 0, 0), plan
    assert states(place.workspace.history()[1])[_old(place)[0]] == "prune"
    require_listed_restore(place)
    require_sound(place, rows(place))


def _go_on_after_sweep(place: Place, before: Place) -> None:
    """The next one ends the work."""
    _sweep(place)
    left = sweep(place.workspace, dry_run=True)
    assert {kind.removed for kind in left.kinds} == {0}, left
    require_listed_restore(place)
    require_sound(place, rows(place))


DELETIONS = {
    "expire": Operation(prepare_history, _expire, _look_at_lists, _go_on_after(_expire, _undelete)),
    "undelete": Operation(_prepare_expired, _undelete, _look_at_lists, _go_on_after(_undelete, _expire)),
    "prune": Operation(_prepare_unneeded, _prune, _look_at_the_same, _go_on_after_prune),
    "sweep": Operation(_prepare_litter, _sweep, _look_at_the_same, _go_on_after_sweep),
}
