"""The copy is byte for byte the repository, refuses what it is no copy of, and never takes over what is damaged."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from moi_backup.errors import Damaged, Locked, StorageError, UsageError
from moi_backup.operations.copy_repository import copy_repository, preview_copy
from moi_backup.operations.rekey import rekey
from moi_backup.operations.rotate_keys import rotate_keys
from moi_backup.operations.verify import verify
from moi_backup.repository.chain import read_chain
from moi_backup.repository.clock import SystemClock
from moi_backup.repository.identity import own_identity
from moi_backup.repository.key_text import generate_master
from moi_backup.repository.layout import chain_name
from moi_backup.repository.leases import acquire
from moi_backup.repository.marks import damaged_chunks
from moi_backup.settings import place_named
from tests.engine.copies import DAMAGES, CopiedDeployment, flip, remove
from tests.engine.deployment import Deployment
from tests.engine.shop import SHOP


@pytest.fixture
def shop(deployment: Deployment) -> CopiedDeployment:
    """A small shop with one full backup, not copied yet."""
    deployment.sql(SHOP)
    deployment.back_up(full=True)
    return CopiedDeployment(deployment.url, deployment.folder)


@pytest.fixture
def sealed(empty_database, tmp_path: Path) -> CopiedDeployment:
    """The same shop in an encrypted repository."""
    made = CopiedDeployment(empty_database(), tmp_path, keys={"MOI_KEY_1": generate_master(os.urandom)})
    made.configure("")
    made.initialise()
    made.sql(SHOP)
    made.back_up(full=True)
    return made


def change(shop: CopiedDeployment) -> None:
    """Change a day and take an incremental backup."""
    shop.sql("UPDATE meta_import_data SET cpm = coalesce(cpm, 0) + 1 WHERE day = '2025-09-14'")
    shop.back_up()


def test_the_copy_is_byte_for_byte_the_repository(shop: CopiedDeployment, empty_database):
    """Every object, and it restores by itself."""
    change(shop)
    result = shop.copy()
    assert (result.exit_code, result.not_copied, result.faults, result.verified) == (0, (), (), "structure")
    assert shop.in_copy() == shop.objects()
    assert result.backups == tuple(backup.id for backup in shop.backups())
    assert (result.entries, result.objects) == (2, len(shop.objects()) - 3)  # identity and chain are no payload
    alone = Deployment(shop.url, shop.folder)
    moved = CopiedDeployment(shop.url, shop.folder)
    workspace = moved.workspace
    assert verify(workspace, read_data=True, repository=workspace.open_copy()).exit_code == 0
    shutil.rmtree(shop.folder / "repository")
    (shop.folder / "copy").rename(shop.folder / "repository")
    assert alone.restore(empty_database()).complete


def test_only_what_is_missing_travels(shop: CopiedDeployment):
    """A second copy of the same writes nothing, one after an incremental backup little."""
    shop.copy()
    before = {path: path.stat().st_mtime_ns for path in (shop.folder / "copy" / "chunks").rglob("*.parquet")}
    again = shop.copy()
    assert (again.objects, again.entries, again.backups, again.exit_code) == (0, 0, (), 0)
    change(shop)
    plan = preview_copy(shop.workspace)
    after = shop.copy()
    assert (plan.objects, plan.bytes, plan.backups) == (after.objects, after.bytes, after.backups)
    assert 0 < after.objects < after.present
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert shop.in_copy() == shop.objects()


def test_a_dry_run_writes_nothing(shop: CopiedDeployment):
    """Not even the folder."""
    plan = preview_copy(shop.workspace)
    assert plan.backups == (shop.backups()[0].id,)
    assert plan.objects > 0
    assert not (shop.folder / "copy").exists()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_object_of_the_source_is_never_copied(shop: CopiedDeployment, damage: str):
    """It is named with the backups that need it; the others go on, and once it is healed it is copied."""
    name = shop.chunks()[0]
    good = shop.file(name).read_bytes()
    DAMAGES[damage](shop.file(name))
    result = shop.copy()
    assert result.exit_code == 3
    assert name not in shop.in_copy()
    (fault,) = result.faults
    assert (fault.object, fault.table, fault.backups) == (name, "public.meta_import_data", (shop.backups()[0].id,))
    assert set(shop.objects()) - set(shop.in_copy()) <= {name}
    if damage == "block":
        shop.file(name).rmdir()
    shop.file(name).write_bytes(good)
    healed = shop.copy()
    assert (healed.exit_code, healed.objects) == (0, 1)
    assert shop.in_copy() == shop.objects()


@pytest.mark.parametrize("folder", ["tables", "files", "backups"])
def test_a_rotten_document_is_not_copied_either(shop: CopiedDeployment, folder: str):
    """Table manifests, archives and backup manifests are verified by their names or the chain."""
    name = next(name for name in shop.objects() if name.startswith(f"{folder}/"))
    flip(shop.file(name))
    result = shop.copy()
    assert result.exit_code == 3
    assert name not in shop.in_copy()
    assert [failed.object for failed in result.not_copied] == [name]
    assert name in {fault.object for fault in result.faults}


def test_an_object_the_copy_lost_or_holds_cut_travels_again(shop: CopiedDeployment):
    """The listing tells both."""
    shop.copy()
    first, second = shop.chunks()[:2]
    shop.copied_file(first).unlink()
    shop.copied_file(second).write_bytes(b"cut")
    assert shop.copy().objects == 2
    assert shop.in_copy() == shop.objects()


def test_a_chunk_that_verification_found_rotten_in_the_copy_travels_again(shop: CopiedDeployment):
    """The copy's own mark says so, and goes with it."""
    shop.copy()
    name = shop.chunks()[0]
    flip(shop.copied_file(name))
    assert shop.copy().objects == 0
    workspace = shop.workspace
    assert verify(workspace, read_data=True, repository=workspace.open_copy()).marked == 1
    assert shop.copy().objects == 1
    assert damaged_chunks(shop.workspace.copy_store()) == frozenset()
    assert shop.in_copy() == shop.objects()


def test_the_repository_itself_is_refused_as_its_copy(shop: CopiedDeployment):
    """By its address, through a link, and for a place inside or around it."""
    (shop.folder / "link").symlink_to(shop.folder / "repository")
    (shop.folder / "other").mkdir()
    before = shop.objects()
    for place in ("repository", "link", "repository/copy", "."):
        with pytest.raises(UsageError, match=r"itself|in each other"):
            copy_repository(shop.workspace, to=place_named(place, cwd=shop.folder, setting="--to"))
    assert shop.objects() == before


def test_one_place_under_two_addresses_is_found_by_its_lease(shop: CopiedDeployment, monkeypatch):
    """Where addresses do not tell (two mounts, two endpoints), the lease taken at one is seen at the other."""
    monkeypatch.setattr("moi_backup.operations.copy_target._parts", lambda address: (address,))
    (shop.folder / "link").symlink_to(shop.folder / "repository")
    before = shop.objects()
    with pytest.raises(UsageError, match="itself"):
        copy_repository(shop.workspace, to=place_named("link", cwd=shop.folder, setting="--to"))
    assert shop.objects() == before


def test_another_repository_or_a_folder_with_other_things_is_refused(shop: CopiedDeployment, tmp_path: Path):
    """Nothing is written there."""
    other = Deployment(shop.url, tmp_path / "other")
    other.folder.mkdir()
    other.configure("")
    other.initialise()
    things = tmp_path / "things"
    things.mkdir()
    (things / "letter.txt").write_text("dear")
    for place, words in ((other.folder / "repository", "another repository"), (things, "no repository")):
        before = sorted(path for path in place.rglob("*") if path.is_file())
        with pytest.raises(UsageError, match=words):
            copy_repository(shop.workspace, to=place_named(str(place), cwd=tmp_path, setting="--to"))
        assert sorted(path for path in place.rglob("*") if path.is_file()) == before


def test_a_history_that_is_no_beginning_of_the_sources_is_refused_at_the_entry(shop: CopiedDeployment):
    """A copy that was written to, and a source that was set back, part at an entry that is named."""
    change(shop)
    shop.copy()
    last = shop.file(chain_name(2)).read_bytes()
    flip(shop.copied_file(chain_name(2)))
    with pytest.raises(UsageError, match="parts from that of the source at chain/0000000002"):
        shop.copy()
    shop.copied_file(chain_name(2)).write_bytes(last)
    shop.copied_file(chain_name(3)).write_bytes(last)
    with pytest.raises(UsageError, match="has an entry chain/0000000003 that the source has not"):
        shop.copy()


def test_an_entry_or_identity_that_the_copy_lost_is_written_again(shop: CopiedDeployment):
    """What is left of its history says whose copy it is."""
    change(shop)
    shop.copy()
    remove(shop.copied_file(chain_name(1)))
    remove(shop.copied_file("repository.json"))
    assert shop.copy().exit_code == 0
    assert shop.in_copy() == shop.objects()


def test_a_damaged_history_is_not_copied(shop: CopiedDeployment):
    """The source must be whole in its chain; nothing is written."""
    change(shop)
    flip(shop.file(chain_name(1)))
    with pytest.raises(Damaged):
        shop.copy()
    assert not (shop.folder / "copy").exists()


def test_two_copies_to_one_place_do_not_collide(shop: CopiedDeployment):
    """The second says who holds the lease."""
    target = shop.workspace.copy_store()
    held = acquire(target, "copy", operation="copy", wait=0, clock=SystemClock(), identity=own_identity())
    with held, pytest.raises(Locked, match="copy by process"):
        shop.copy()


def test_a_backup_that_is_being_taken_is_left_for_the_next_time(shop: CopiedDeployment):
    """A manifest the chain does not name is no backup and does not travel."""
    (manifest,) = [name for name in shop.objects() if name.startswith("backups/")]
    shop.file("backups/20990101T000000Z-000000").write_bytes(shop.file(manifest).read_bytes())
    assert shop.copy().exit_code == 0
    assert [name for name in shop.in_copy() if name.startswith("backups/")] == [manifest]


def test_deletions_come_to_the_copy_only_when_asked(shop: CopiedDeployment):
    """And then only of what no backup of the history needs: a chunk the source lost stays."""
    stray = "files/" + "0" * 64
    shop.file(stray).write_bytes(b"left behind")
    needed = shop.chunks()[0]
    copy_without_check = shop.copied_file(stray)
    shop.copy()
    copy_without_check.write_bytes(b"left behind")
    shop.file(stray).unlink()
    shop.file(needed).unlink()
    assert shop.copy().removed == 0
    assert stray in shop.in_copy()
    assert preview_copy(shop.workspace, prune=True).removes == 1
    assert shop.copy(prune=True).removed == 1
    assert stray not in shop.in_copy()
    assert needed in shop.in_copy()


def test_nothing_is_removed_while_a_document_of_the_source_cannot_be_read(shop: CopiedDeployment):
    """What it lists is not known; the result says so."""
    shop.copy()
    shop.copied_file("files/" + "0" * 64).write_bytes(b"left behind")
    name = next(name for name in shop.objects() if name.startswith("tables/"))
    flip(shop.file(name))
    result = shop.copy(prune=True)
    assert result.removed == 0
    assert "Nothing was removed" in result.notes[0]


def test_a_repository_is_copied_without_its_keys(sealed: CopiedDeployment, empty_database):
    """Bytes travel as they are stored; chunks are verified by their names, documents are not read back."""
    stranger = replace(sealed, keys={})
    rotten = sealed.chunks_of_store()[0]
    good = sealed.file(rotten).read_bytes()
    flip(sealed.file(rotten))
    result = stranger.copy()
    assert (result.exit_code, result.verified) == (3, "listing")
    assert [failed.object for failed in result.not_copied] == [rotten]
    sealed.file(rotten).write_bytes(good)
    assert stranger.copy().exit_code == 0
    assert sealed.in_copy() == sealed.objects()
    shutil.rmtree(sealed.folder / "repository")
    assert sealed.restore(empty_database()).complete


def test_a_key_that_differs_is_not_overwritten_without_the_keys(sealed: CopiedDeployment):
    """Wrapped anew or rotten: only its holder can tell, and a rotten one would shred the copy."""
    stranger = replace(sealed, keys={})
    stranger.copy()
    before = sealed.in_copy()
    both = replace(sealed, keys={**sealed.keys, "MOI_KEY_2": generate_master(os.urandom)})
    rotate_keys(both.workspace, wait=0, entropy=os.urandom)
    result = stranger.copy()
    assert (result.exit_code, result.not_copied[0].object) == (3, "keys/default/1")
    assert sealed.in_copy() == before
    assert both.copy().exit_code == 0
    assert both.in_copy() == both.objects()


def test_an_identity_that_rotted_is_not_taken_over_without_the_keys(sealed: CopiedDeployment):
    """The source's document is no better than the copy's where nobody can read the history that vouches for one."""
    stranger = replace(sealed, keys={})
    stranger.copy()
    good = sealed.copied_file("repository.json").read_bytes()
    sealed.file("repository.json").write_bytes(good.replace(b'"created_at":"2', b'"created_at":"3'))
    result = stranger.copy()
    assert (result.exit_code, result.not_copied[0].object) == (3, "repository.json")
    assert sealed.copied_file("repository.json").read_bytes() == good


@pytest.mark.parametrize("keyless", [True, False])
def test_what_was_sealed_anew_travels_again_though_name_and_size_stay(sealed: CopiedDeployment, *, keyless: bool):
    """After a rekey the copy lists the same backups, whole and under the new key, copied with its keys or without."""
    copier = replace(sealed, keys={}) if keyless else sealed
    assert copier.copy().exit_code == 0
    rekey(sealed.workspace, "default", wait=0)
    assert copier.copy().exit_code == 0
    now, copied = sealed.objects(), sealed.in_copy()
    assert {name: copied.get(name) for name in now if not name.startswith("trash/")} == {
        name: data for name, data in now.items() if not name.startswith("trash/")
    }
    workspace = sealed.workspace
    assert verify(workspace, read_data=True, repository=workspace.open_copy()).exit_code == 0
    assert copier.copy().objects == 0


def test_a_copy_is_refused_where_there_is_no_room(shop: CopiedDeployment, monkeypatch):
    """Before anything is copied, with what is needed."""
    monkeypatch.setattr("moi_backup.operations.copy_repository.RESERVE_BYTES", 1 << 62)
    with pytest.raises(StorageError, match="MiB free"):
        shop.copy()
    assert set(shop.in_copy()) == set()


def test_the_copy_lags_behind_and_is_not_cut_off(shop: CopiedDeployment):
    """Each place has a head of its own."""
    shop.copy()
    change(shop)
    workspace = shop.workspace
    assert read_chain(workspace.open()).head.seq == 2
    assert read_chain(workspace.open_copy()).head.seq == 1
