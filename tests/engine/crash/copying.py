"""A copy of the repository is made, refreshed and used to repair it."""

from __future__ import annotations

from dataclasses import replace

from moi_backup.errors import NoRepository, PartlyDone
from moi_backup.operations.copy_repository import copy_repository
from moi_backup.operations.expire_backups import expire_backups
from moi_backup.operations.prune import prune
from moi_backup.operations.rekey import rekey
from moi_backup.operations.repair import plan_repair, repair
from moi_backup.operations.verify import verify
from moi_backup.repository import layout
from moi_backup.repository.chain import read_chain
from moi_backup.settings import RepositorySetting, place_named
from tests.engine.crash.history import expected, listed, prepare_history, require_listed_restore, take
from tests.engine.crash.operation import Operation, require_no_fault, require_sound
from tests.engine.crash.place import Place
from tests.engine.crash.shop import CHANGE, SCOPED, rows
from tests.engine.storage.faults import flipped


def _copied(place: Place) -> Place:
    """The copy as a host sees it that has it alone and never saw it before."""
    return replace(place, bucket=str(place.folder / "copy"), state="elsewhere")


def _place_of_copy(place: Place) -> RepositorySetting:
    return place_named("copy", cwd=place.folder, setting="--to")


def _copy(place: Place) -> None:
    result = copy_repository(place.workspace, to=_place_of_copy(place), prune=True)
    if result.exit_code:
        raise PartlyDone("; ".join(f"{fault.object}: {fault.detail}" for fault in (*result.faults, *result.not_copied)))


def _repair(place: Place) -> None:
    plan = plan_repair(place.workspace, source=_place_of_copy(place), live=False)
    result = repair(place.workspace, plan)
    if result.exit_code:
        raise PartlyDone("; ".join(f"{fault.object}: {fault.detail}" for fault in result.lost))


def _prepare_behind(place: Place) -> None:
    """A copy that lacks a new backup, and holds an old one that has been pruned since."""
    prepare_history(place)
    _copy(place)
    place.sql(CHANGE)
    take(place)
    expire_backups(place.workspace, list(expected(place))[:1])
    prune(place.workspace, grace_hours=0)


def _prepare_rekeyed(place: Place) -> None:
    """A copy whose backups have other objects in the repository since."""
    place.configure(SCOPED)
    prepare_history(place)
    _copy(place)
    rekey(place.workspace, "pii", wait=0)


def _prepare_damage(place: Place) -> None:
    """A chunk and the manifest of a backup with a flipped bit, and a lost table manifest; all are whole in the copy."""
    prepare_history(place)
    _copy(place)
    store, first, last = place.workspace.store(), place.backups()[0], place.backups()[-1]
    for name in (max(place.objects("chunks/public.orders/")), layout.backup_name(first.id)):
        store.put(name, flipped(store.get(name)))
    store.delete(layout.table_name(last.tables[0].manifest))


def _look_at_copy(place: Place, before: Place) -> None:
    """The copy is none yet, or whole up to where its history goes, which is the repository's."""
    assert listed(place) == listed(before)
    require_no_fault(place)
    copy = _copied(place)
    try:
        entries = read_chain(copy.workspace.open()).entries
    except NoRepository:
        return
    assert entries == read_chain(place.workspace.open()).entries[: len(entries)]
    found = verify(copy.workspace)
    assert found.faults == (), found


def _go_on_after_copy(place: Place, before: Place) -> None:
    """What the copy lists restores from it alone; the next copy is complete and equal, byte for byte."""
    copy = _copied(place)
    if (place.folder / "copy" / layout.REPOSITORY).exists():
        require_listed_restore(copy)
    _copy(place)
    assert _data_of(copy) == _data_of(place)
    assert place.objects(layout.RECORDS).items() <= copy.objects(layout.RECORDS).items()
    assert listed(copy) == listed(place)
    require_listed_restore(copy)
    require_sound(place, rows(place))


def _data_of(place: Place) -> dict[str, bytes]:
    """All objects but the marks, which tell writers of one place what they may not touch there, and the records.

    A restore that was made from the copy as a repository of its own is recorded there alone.
    """
    own = (layout.MARKS, layout.RECORDS)
    return {name: data for name, data in place.objects().items() if not name.startswith(own)}


def _look_at_damage(place: Place, before: Place) -> None:
    """There is no damage that was not there before."""
    assert place.workspace.history()[1].entries == before.workspace.history()[1].entries
    known = {fault.object for fault in before.faults()}
    assert {fault.object for fault in place.faults()} <= known


def _go_on_after_repair(place: Place, before: Place) -> None:
    """The next one heals what is left."""
    _repair(place)
    found = verify(place.workspace, read_data=True)
    assert (found.faults, found.notes) == ((), ()), found
    require_listed_restore(place)
    require_sound(place, rows(place))


COPIES = {
    "copy": Operation(prepare_history, _copy, _look_at_copy, _go_on_after_copy),
    "copy anew": Operation(_prepare_behind, _copy, _look_at_copy, _go_on_after_copy),
    "copy after a rekey": Operation(_prepare_rekeyed, _copy, _look_at_copy, _go_on_after_copy, keys=1),
    "repair": Operation(_prepare_damage, _repair, _look_at_damage, _go_on_after_repair),
}
