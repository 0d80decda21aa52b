"""Expire, undelete, prune: what is listed restores exactly, what is gone frees its objects, each keep has a reason."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from moi_backup.errors import Damaged, Locked, StorageError, UsageError
from moi_backup.operations.expire_backups import expire_backups, undelete_backups
from moi_backup.operations.list_backups import list_backups, list_trash
from moi_backup.operations.prune import plan_prune, prune
from moi_backup.operations.status import read_status
from moi_backup.operations.verify import verify
from moi_backup.repository import deletion, layout
from moi_backup.repository.chain import states
from moi_backup.repository.marks import DELETABLE, damaged_chunks
from moi_backup.storage.local import LocalStore
from tests.engine.deployment import Deployment
from tests.engine.oracle import database_of
from tests.engine.shop import SHOP

HOUR = 3600.0


@pytest.fixture
def shop(deployment: Deployment) -> Deployment:
    """A shop with three full backups of three states: as made, a day deleted, and that day inserted again."""
    deployment.sql(SHOP)
    deployment.back_up(full=True)
    deployment.sql("CREATE TABLE kept AS SELECT * FROM meta_import_data WHERE day = '2025-09-14'")
    deployment.sql("DELETE FROM meta_import_data WHERE day = '2025-09-14'")
    deployment.back_up(full=True)
    deployment.sql("INSERT INTO meta_import_data SELECT * FROM kept; UPDATE meta_import_data SET cpm = 1 WHERE id < 9")
    deployment.back_up(full=True)
    return deployment


def ids(shop: Deployment) -> list[str]:
    """The listed backups, oldest first."""
    return [manifest.id for manifest in shop.backups()]


def names(shop: Deployment, *folders: str) -> set[str]:
    """Object names of the repository below folders."""
    return {name for name in shop.objects() if name.startswith(folders)}


def age(shop: Deployment, name: str, *, hours: float) -> None:
    """Make an object older by the store's own time."""
    path = shop.folder / "repository" / name
    os.utime(path, (path.stat().st_mtime - hours * HOUR,) * 2)


def test_after_expiry_and_prune_the_remaining_backups_restore_exactly(
    shop: Deployment, empty_database: Callable[[], str]
):
    """The middle one goes with what only it needed; the others hold every row, by another road than the engine's."""
    first, middle, last = ids(shop)
    targets = {backup: empty_database() for backup in (first, last)}
    for backup, target in targets.items():
        assert shop.restore(target, backup=backup).complete
    before = {backup: database_of(target) for backup, target in targets.items()}
    expire_backups(shop.workspace, [middle])
    done = prune(shop.workspace, grace_hours=0)
    assert [backup.id for backup in done.plan.gone] == [middle]
    assert done.deleted == done.plan.objects > 2
    assert verify(shop.workspace, read_data=True).faults == ()
    for backup, rows in before.items():
        again = empty_database()
        assert shop.restore(again, backup=backup).complete
        assert database_of(again) == rows
    assert plan_prune(shop.workspace, grace_hours=0).objects == 0


def test_a_backup_in_the_trash_is_not_restored_and_comes_back_as_it_was(shop: Deployment):
    """Expired: not listed, refused by name. Undeleted: listed in its old place, every byte verified."""
    before = ids(shop)
    assert expire_backups(shop.workspace, [before[0]]).notes == ()
    assert ids(shop) == before[1:]
    assert [backup.id for backup in list_trash(shop.workspace).backups] == [before[0]]
    with pytest.raises(UsageError, match="in the trash") as refused:
        shop.restore_in_place(backup=before[0])
    assert "moi-backup undelete" in refused.value.remedy
    assert names(shop, "backups/", "trash/") >= {layout.trash_name(before[0])}
    assert layout.backup_name(before[0]) not in names(shop, "backups/")
    undelete_backups(shop.workspace, [before[0]])
    assert ids(shop) == before
    assert list_trash(shop.workspace).backups == ()
    assert verify(shop.workspace, backup=before[0], read_data=True).faults == ()


@pytest.mark.parametrize("place", ["backups", "trash"])
def test_wherever_a_cut_expiry_left_the_manifest_the_chain_decides(shop: Deployment, place: str):
    """A listed backup whose manifest lies in the trash alone, and an expired one in its old place, both read."""
    [backup, *_] = ids(shop)
    repository = shop.folder / "repository"
    expire_backups(shop.workspace, [backup])
    data = (repository / layout.trash_name(backup)).read_bytes()
    if place == "backups":
        (repository / layout.trash_name(backup)).unlink()
        (repository / layout.backup_name(backup)).write_bytes(data)
        assert [found.id for found in list_trash(shop.workspace).backups] == [backup]
        assert plan_prune(shop.workspace).objects == 0
    undelete_backups(shop.workspace, [backup])
    (repository / layout.backup_name(backup)).unlink(missing_ok=True)
    if place == "backups":
        (repository / layout.backup_name(backup)).write_bytes(data)
    assert backup in [found.id for found in list_backups(shop.workspace).backups]
    assert shop.faults() == []


def test_a_command_that_was_cut_can_be_repeated(shop: Deployment):
    """What is done already is noted, the rest is done; when nothing is left to do, that is said."""
    first, second, last = ids(shop)
    expire_backups(shop.workspace, [first])
    done = expire_backups(shop.workspace, [first, second])
    assert (done.backups, done.notes) == ((second,), (f"{first} is in the trash already.",))
    with pytest.raises(UsageError, match="is in the trash"):
        expire_backups(shop.workspace, [first, second])
    undelete_backups(shop.workspace, [first])
    again = undelete_backups(shop.workspace, [first, second])
    assert (again.backups, again.notes) == ((second,), (f"{first} is listed already.",))
    assert ids(shop) == [first, second, last]


def test_a_backup_that_expired_less_than_the_grace_ago_stays(shop: Deployment):
    """By the store's own time; the plan says from when it may go, and an older one goes."""
    first, second, _ = ids(shop)
    expire_backups(shop.workspace, [first, second])
    age(shop, layout.chain_name(4), hours=25)
    done = prune(shop.workspace)
    assert [backup.id for backup in done.plan.gone] == [first]
    kept = {backup.id: backup.why for backup in done.plan.kept}
    assert "can be pruned from" in kept[second]
    undelete_backups(shop.workspace, [second])
    assert shop.faults() == []
    assert states(shop.workspace.history()[1])[first] == "prune"


def test_a_dry_run_says_what_the_prune_then_does_and_writes_nothing(shop: Deployment):
    """The plan is the same value, and not one object differs before."""
    expire_backups(shop.workspace, [ids(shop)[1]])
    before = shop.objects()
    plan = plan_prune(shop.workspace, grace_hours=0)
    assert shop.objects() == before
    assert {kind.kind for kind in plan.delete} >= {"backups", "chunks", "tables"}
    assert prune(shop.workspace, grace_hours=0).plan == plan
    gone = {name for name in before.keys() - shop.objects().keys() if name.startswith(DELETABLE)}
    assert len(gone) == plan.objects


def test_rows_that_were_pruned_are_written_under_names_never_used_before(shop: Deployment):
    """A backup of the same rows after the prune gives them a revival suffix, and restores and verifies."""
    first, middle, last = ids(shop)
    expire_backups(shop.workspace, [middle])
    pruned = names(shop, "chunks/", "tables/", "files/")
    prune(shop.workspace, grace_hours=0)
    pruned -= names(shop, "chunks/", "tables/", "files/")
    shop.sql("DELETE FROM meta_import_data WHERE day = '2025-09-14'; UPDATE meta_import_data SET cpm = NULL")
    taken = shop.back_up(full=True).manifest
    assert pruned & names(shop, "chunks/", "tables/", "files/") == set()
    revived = {layout.unrevived(name) for name in names(shop, "chunks/") if "~" in name}
    assert revived
    assert revived <= pruned
    found = verify(shop.workspace, read_data=True)
    assert (found.faults, found.exit_code) == ((), 0)
    assert shop.restore_in_place(backup=taken.id).complete
    assert shop.back_up().manifest.tables[0].new_chunks == 0
    expire_backups(shop.workspace, [taken.id, ids(shop)[-1], first, last])
    prune(shop.workspace, grace_hours=0)
    assert names(shop, "chunks/", "tables/", "files/", "backups/", "trash/") == set()
    assert shop.back_up().manifest.rows == taken.rows
    assert verify(shop.workspace, read_data=True).faults == ()


def test_after_the_tombstones_time_names_are_free_again(shop: Deployment):
    """Seven days after a mark was done, by the store's time, prune removes it and no suffix is needed."""
    expire_backups(shop.workspace, [ids(shop)[1]])
    assert prune(shop.workspace, grace_hours=0).marks_removed == 0
    [listed, done] = sorted(names(shop, "marks/"))
    assert done == f"{listed}.done"
    age(shop, done, hours=6 * 24)
    assert prune(shop.workspace, grace_hours=0).marks_removed == 0
    age(shop, done, hours=24)
    assert prune(shop.workspace, grace_hours=0).marks_removed == 2
    assert names(shop, "marks/") == set()
    shop.sql("DELETE FROM meta_import_data WHERE day = '2025-09-14'; UPDATE meta_import_data SET cpm = NULL")
    shop.back_up(full=True)
    assert not any("~" in name for name in names(shop, "chunks/", "tables/"))
    assert shop.faults() == []


def test_a_revived_chunk_that_rotted_is_healed_under_its_own_name(shop: Deployment):
    """Also when its mark is forgotten and nothing asks for a suffix any more: older backups need that very object."""
    expire_backups(shop.workspace, [ids(shop)[1]])
    prune(shop.workspace, grace_hours=0)
    shop.sql("DELETE FROM meta_import_data WHERE day = '2025-09-14'; UPDATE meta_import_data SET cpm = NULL")
    shop.back_up(full=True)
    for name in names(shop, "marks/"):
        age(shop, name, hours=8 * 24)
    assert prune(shop.workspace, grace_hours=0).marks_removed == 2
    revived = next(name for name in names(shop, "chunks/") if "~" in name)
    path = shop.folder / "repository" / revived
    path.write_bytes(b"!" * path.stat().st_size)
    assert verify(shop.workspace, read_data=True).marked == 1
    shop.back_up(full=True)
    assert verify(shop.workspace, read_data=True).faults == ()
    assert damaged_chunks(shop.workspace.store()) == frozenset()


def test_a_prune_that_was_stopped_is_finished_by_the_next(shop: Deployment, monkeypatch: pytest.MonkeyPatch):
    """What was marked and not deleted is counted as unfinished, and goes."""
    expire_backups(shop.workspace, [ids(shop)[1]])
    deleted: list[str] = []

    def stop(store: LocalStore, name: str) -> None:
        if name.startswith("chunks/"):
            raise KeyboardInterrupt
        deleted.append(name)

    with monkeypatch.context() as patched:
        patched.setattr(LocalStore, "delete", stop)
        with pytest.raises(KeyboardInterrupt):
            prune(shop.workspace, grace_hours=0)
    assert shop.faults() == []
    plan = plan_prune(shop.workspace, grace_hours=0)
    assert 0 < plan.unfinished == plan.objects
    assert prune(shop.workspace, grace_hours=0).deleted >= plan.unfinished
    assert plan_prune(shop.workspace, grace_hours=0).objects == 0
    assert shop.faults() == []


@pytest.mark.parametrize("lost", ["manifest", "table"])
def test_nothing_is_marked_while_a_document_cannot_be_read(shop: Deployment, lost: str):
    """What a listed backup needs is not known then, so prune refuses and changes nothing."""
    first, middle, last = ids(shop)
    expire_backups(shop.workspace, [middle])
    manifest = shop.backups()[0]
    name = layout.backup_name(first) if lost == "manifest" else layout.table_name(manifest.tables[0].manifest)
    (shop.folder / "repository" / name).write_bytes(b"rotten")
    before = shop.objects()
    with pytest.raises(Damaged, match=name):
        prune(shop.workspace, grace_hours=0)
    assert shop.objects() == before
    if lost == "manifest":  # a way out: the damaged backup expires, and goes without being read
        assert "cannot bring it back" in expire_backups(shop.workspace, [first]).notes[0]
        with pytest.raises(Damaged, match=first):
            undelete_backups(shop.workspace, [first])
        prune(shop.workspace, grace_hours=0)
        assert ids(shop) == [last]
        assert shop.faults() == []


def test_without_the_right_to_delete_nothing_is_marked(shop: Deployment, monkeypatch: pytest.MonkeyPatch):
    """The error comes before the chain says anything; expiring works all the same."""

    def refuse(store: LocalStore, name: str) -> None:
        raise StorageError(f"Could not delete {name}.", remedy="Use other credentials.")

    monkeypatch.setattr(LocalStore, "delete", refuse)
    backup = ids(shop)[1]
    expire_backups(shop.workspace, [backup])
    assert backup not in ids(shop)
    before = shop.objects()
    with pytest.raises(StorageError, match="Could not delete"):
        prune(shop.workspace, grace_hours=0)
    assert shop.objects() == before
    undelete_backups(shop.workspace, [backup])
    assert shop.faults() == []


def test_expiring_names_what_is_not_there_and_changes_nothing(shop: Deployment):
    """One unknown id among several: exit code 2, all are still listed."""
    before = ids(shop)
    with pytest.raises(UsageError, match="20990101"):
        expire_backups(shop.workspace, [before[0], "20990101T000000Z-000000"])
    with pytest.raises(UsageError, match="is listed, not in the trash"):
        undelete_backups(shop.workspace, [before[0]])
    assert ids(shop) == before


def test_expiring_everything_is_done_with_a_warning_and_status_is_critical(shop: Deployment):
    """Nothing is listed, the trash has all three, and nothing breaks over it."""
    assert "nothing protects" in expire_backups(shop.workspace, ids(shop)).notes[0]
    assert list_backups(shop.workspace).backups == ()
    assert len(list_trash(shop.workspace).backups) == 3
    assert read_status(shop.workspace).exit_code == 5
    assert verify(shop.workspace, read_data=True).exit_code == 0


def test_operations_that_write_wait_for_each_other(shop: Deployment):
    """A held lease keeps expire, undelete and prune out."""
    with shop.workspace.writing(shop.workspace.open(), operation="backup", wait=0):
        for act in (
            lambda: expire_backups(shop.workspace, ids(shop)[:1]),
            lambda: undelete_backups(shop.workspace, ids(shop)[:1]),
            lambda: prune(shop.workspace),
        ):
            with pytest.raises(Locked):
                act()


def test_a_mark_that_rotted_makes_writers_avoid_every_old_name(shop: Deployment):
    """Nobody knows what it lists, so all that is new gets its number; the next prune closes it."""
    expire_backups(shop.workspace, [ids(shop)[1]])
    prune(shop.workspace, grace_hours=0)
    [mark] = [name for name in names(shop, "marks/") if not name.endswith(".done")]
    (shop.folder / "repository" / mark).write_bytes(b"rotten")
    (shop.folder / "repository" / f"{mark}.done").unlink()
    shop.sql("UPDATE meta_import_data SET cpm = 7")
    before = names(shop, "chunks/")
    shop.back_up()
    number = int(mark.removeprefix("marks/").partition("-")[0])
    assert all(f"~{number}." in name for name in names(shop, "chunks/") - before)
    assert verify(shop.workspace, read_data=True).faults == ()
    prune(shop.workspace, grace_hours=0)
    assert f"{mark}.done" in names(shop, "marks/")
    assert verify(shop.workspace, read_data=True).faults == ()


def test_a_mark_of_what_a_backup_needs_stops_the_prune(shop: Deployment, monkeypatch: pytest.MonkeyPatch):
    """The guard against a defect: what is needed is never deleted, whoever marked it."""
    needed = next(iter(names(shop, "chunks/")))
    monkeypatch.setattr(deletion, "needed_names", lambda *_, **__: names(shop, "") - {needed})
    with shop.workspace.writing(shop.workspace.open(), operation="prune", wait=0) as lease:
        deletion.mark_unreachable(shop.workspace.open(), lease=lease, now=shop.workspace.clock.now)
    monkeypatch.undo()
    with pytest.raises(Damaged, match="marked for deletion, and a backup needs it"):
        prune(shop.workspace, grace_hours=0)
    assert needed in names(shop, "chunks/")
    assert Path(shop.folder / "repository" / needed).is_file()
