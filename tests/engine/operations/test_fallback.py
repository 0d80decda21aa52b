"""Readers fall back to the copy by themselves, say so once, and never take from it what is not as written."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from moi_backup.errors import Damaged, NoRepository
from moi_backup.model.restore import RestoreRequest
from moi_backup.operations.bisect import BisectRequest, bisect
from moi_backup.operations.blame import BlameRequest, blame
from moi_backup.operations.list_backups import list_backups
from moi_backup.operations.open_for_reading import open_for_reading
from moi_backup.operations.progress import Silent
from moi_backup.operations.query import query
from moi_backup.operations.restore import plan_restore, restore
from moi_backup.operations.show_backup import show_backup
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.chain import read_chain
from moi_backup.settings import read_settings
from tests.engine.conftest import Server
from tests.engine.copies import DAMAGES, META, CopiedDeployment, backed_up_and_copied_shop, flip, on_own_files
from tests.engine.deployment import Deployment
from tests.engine.oracle import database_of

COUNT = "SELECT count(*), sum(amount_spent) FROM meta_import_data"


class Listener(Silent):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture(scope="module")
def common(postgres_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CopiedDeployment]:
    """A small shop with one backup, and its copy."""
    with backed_up_and_copied_shop(postgres_server, tmp_path_factory.mktemp("shop")) as made:
        yield made


@pytest.fixture
def shop(common: CopiedDeployment, tmp_path: Path) -> CopiedDeployment:
    """The same on files of its own."""
    return on_own_files(common, tmp_path)


def restored(shop: CopiedDeployment, url: str, listener: Listener | None = None, **request):
    """Restore the newest backup there."""
    request = RestoreRequest(**{"backup": "latest", **request})
    return restore(shop.workspace, url, request, progress=listener or Silent())


def answer(shop: CopiedDeployment, listener: Listener | None = None) -> list[tuple]:
    """What a query over the newest backup answers."""
    with query(shop.workspace, "latest", COUNT, progress=listener) as result:
        return list(result.rows)


@pytest.mark.parametrize("kind", ["chunk", "chunk list", "table manifest", "backup manifest"])
def test_a_search_through_the_history_reads_on_from_the_copy(shop: CopiedDeployment, kind: str):
    """Nothing is passed over for what the copy still has, and the answer says where it came from."""
    name = some(shop, kind)
    shop.file(name).unlink()
    listener = Listener()
    found = blame(shop.workspace, BlameRequest(table=META, keys=["id=7"]), progress=listener)
    assert ([len(entry.changes) for entry in found.changed], found.passed_over) == ([1], ())
    searched = bisect(shop.workspace, BisectRequest(table=META, condition="id = 7"), progress=listener)
    assert (searched.newest.rows, searched.passed_over) == (1, ())
    for notes in (found.notes, searched.notes, listener.warnings):
        assert any(name in note for note in notes)


def some(shop: CopiedDeployment, kind: str) -> str:
    """An object of a kind that every restore needs."""
    backup = shop.backups()[-1]
    table = next(entry for entry in backup.tables if entry.table == META)
    lists = shop.workspace.open().read_table(table.manifest).months
    return {
        "chunk": shop.chunks()[0],
        "chunk list": f"tables/{lists[0].list}",
        "table manifest": f"tables/{table.manifest}",
        "schema archive": f"files/{backup.schema.digest}",
        "backup manifest": f"backups/{backup.id}",
    }[kind]


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        *(("chunk", damage) for damage in DAMAGES),
        ("chunk list", "remove"),
        ("table manifest", "flip"),
        ("schema archive", "cut"),
        ("backup manifest", "block"),
    ],
)
def test_a_restore_reads_from_the_copy_what_the_repository_cannot_give(
    shop: CopiedDeployment, empty_database, kind: str, damage: str
):
    """Whatever happened to whichever object: all is restored and proved, one warning and a note name it."""
    name, before, url = some(shop, kind), database_of(shop.url), empty_database()
    DAMAGES[damage](shop.file(name))
    listener = Listener()
    result = restored(shop, url, listener)
    assert result.complete, result
    assert database_of(url) == before
    (warning,) = listener.warnings
    assert warning.startswith(f"{name} in {shop.folder / 'repository'} ")
    assert warning.endswith(f"it was read from the copy at {shop.folder / 'copy'}.")
    assert result.notes.count(warning) == 1


def test_an_object_rotten_in_both_places_restores_nothing_of_its_table(shop: CopiedDeployment, empty_database):
    """The copy's object passes the same checks or is not used; the error names both places."""
    name = shop.chunks()[0]
    flip(shop.file(name))
    flip(shop.copied_file(name))
    result = restored(shop, empty_database())
    (failed,) = [table for table in result.tables if table.table == META]
    assert failed.status == "failed"
    assert name in failed.error
    assert str(shop.folder / "copy") in failed.error


def test_queries_and_descriptions_fall_back_too(shop: CopiedDeployment):
    """Each says it on its own listener."""
    before = answer(shop)
    flip(shop.file(some(shop, "chunk")))
    flip(shop.file(some(shop, "table manifest")))
    listener, other = Listener(), Listener()
    assert answer(shop, listener) == before
    assert len(listener.warnings) == 2
    assert show_backup(shop.workspace, "latest", progress=other).rows == 2003
    assert len(other.warnings) == 1


@pytest.mark.parametrize("loss", ["removed", "empty", "chain", "identity"])
def test_a_lost_repository_is_read_from_the_copy_as_a_whole(shop: CopiedDeployment, empty_database, loss: str):
    """List, describe, query and restore work, and say loudly whose data this is."""
    before, url, place = database_of(shop.url), empty_database(), shop.folder / "repository"
    list_backups(shop.workspace)  # remembers the head, or a rotten last entry might pass for another one
    if loss in ("removed", "empty"):
        shutil.rmtree(place)
    if loss == "empty":
        place.mkdir()
    if loss == "chain":
        flip(place / "chain" / "0000000001")
    if loss == "identity":
        (place / "repository.json").unlink()
    listener = Listener()
    assert len(list_backups(shop.workspace, progress=listener).backups) == 1
    assert show_backup(shop.workspace, "latest", progress=listener).rows == 2003
    assert answer(shop, listener)[0][0] == 2000
    result = restored(shop, url, listener)
    assert result.complete
    assert database_of(url) == before
    assert len(listener.warnings) == 4
    for text in (*listener.warnings, result.notes[0]):
        assert "everything comes from the copy" in text
        assert str(shop.folder / "copy") in text


def test_a_restore_in_place_works_with_the_repository_gone(shop: CopiedDeployment):
    """Its lease is held where the backups are read; one that cannot be written does not stop a rescue."""
    before = database_of(shop.url)
    shop.sql("DELETE FROM meta_import_data WHERE id > 7")
    shutil.rmtree(shop.folder / "repository")
    request = {"in_place": True, "on_conflict": "replace", "reason": "all is lost"}
    assert restored(shop, shop.url, **request).complete
    assert database_of(shop.url) == before
    shutil.rmtree(shop.folder / "copy" / "leases")
    (shop.folder / "copy" / "leases").write_text("in the way")
    listener = Listener()
    assert restored(shop, shop.url, listener, **request).complete
    assert "without a lease" in listener.warnings[1]


def test_a_plan_says_where_it_was_read(shop: CopiedDeployment, empty_database):
    """A dry run carries the same notes."""
    flip(shop.file(some(shop, "table manifest")))
    plan = plan_restore(shop.workspace, empty_database(), RestoreRequest(backup="latest"))
    assert "it was read from the copy" in plan.notes[0]


def test_backups_never_write_to_the_copy(shop: CopiedDeployment):
    """A backup heals the repository it is for, and fails where that is gone."""
    before = shop.in_copy()
    flip(shop.file(some(shop, "table manifest")))
    shop.back_up(full=True)
    assert shop.in_copy() == before
    shutil.rmtree(shop.folder / "repository")
    with pytest.raises(NoRepository):
        shop.back_up()
    assert shop.in_copy() == before


def test_without_a_copy_damage_is_an_error_as_before(shop: CopiedDeployment, empty_database):
    """Nothing is looked for elsewhere."""
    plain = Deployment(shop.url, shop.folder)
    flip(shop.file(some(shop, "backup manifest")))
    with pytest.raises(Damaged):
        plain.restore(empty_database())


def test_a_copy_of_another_repository_is_never_read(shop: CopiedDeployment, tmp_path: Path):
    """Its objects are refused whatever their names; the error says whose they are."""
    other = Deployment(shop.url, tmp_path / "other")
    other.folder.mkdir()
    other.configure("")
    other.initialise()
    shutil.rmtree(shop.folder / "copy")
    shutil.copytree(other.folder / "repository", shop.folder / "copy")
    flip(shop.file(some(shop, "table manifest")))
    with pytest.raises(Damaged) as caught:
        show_backup(shop.workspace, "latest")
    assert "not a copy of" in caught.value.meaning


def test_a_lost_copy_is_named_beside_the_damage(shop: CopiedDeployment):
    """When both are gone the error is the repository's, and says what became of the copy."""
    shutil.rmtree(shop.folder / "repository")
    shutil.rmtree(shop.folder / "copy")
    with pytest.raises(NoRepository) as caught:
        list_backups(shop.workspace)
    assert str(shop.folder / "repository") in caught.value.what
    assert str(shop.folder / "copy") in caught.value.meaning


def test_a_repository_of_a_newer_version_is_not_passed_over(shop: CopiedDeployment):
    """It is there and needs the newer program; the older copy would hide what came later."""
    shop.file("repository.json").write_bytes(b'{"created_at":"","format":2,"id":"%s"}' % (b"0" * 32))
    with pytest.raises(NoRepository, match="newer version"):
        open_for_reading(shop.workspace, warn=Listener().warn)


def test_a_healthy_repository_never_opens_its_copy(shop: CopiedDeployment):
    """A copy that does not answer slows nothing down."""
    shutil.rmtree(shop.folder / "copy")
    listener = Listener()
    assert answer(shop, listener)[0][0] == 2000
    assert listener.warnings == []


def test_readers_remember_the_head_of_either_place(shop: CopiedDeployment):
    """The copy in the place of a lost repository is not taken for one whose tail was cut off."""
    shop.sql("UPDATE meta_import_data SET cpm = 1 WHERE id < 9")
    shop.back_up()
    list_backups(shop.workspace)
    shutil.rmtree(shop.folder / "repository")
    assert len(list_backups(shop.workspace).backups) == 1
    promoted = Deployment(shop.url, shop.folder)
    (shop.folder / "copy").rename(shop.folder / "second")
    environ = {**promoted.environ, "MOI_REPOSITORY": str(shop.folder / "second")}
    workspace = Workspace(read_settings(environ, cwd=shop.folder, effective_uid=1))
    assert read_chain(workspace.open()).head.seq == 1
