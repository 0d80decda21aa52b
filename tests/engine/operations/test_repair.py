"""Repair heals what the copy or the live data can give, proves it by reading, and says exactly what it cannot."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from moi_backup.errors import Damaged, NoRepository, UsageError
from moi_backup.operations.repair import RepairResult, plan_repair, repair
from moi_backup.operations.verify import verify
from moi_backup.repository.chain import read_chain
from moi_backup.repository.layout import chain_name
from moi_backup.repository.marks import damaged_chunks
from moi_backup.settings import place_named
from tests.engine.conftest import Server, create_database
from tests.engine.copies import (
    DAMAGES,
    META,
    CopiedDeployment,
    backed_up_and_copied_shop,
    cut,
    flip,
    on_own_files,
    remove,
)
from tests.engine.deployment import Deployment
from tests.engine.shop import SHOP


@pytest.fixture(scope="module")
def common(postgres_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CopiedDeployment]:
    """A small shop with a full and an incremental backup, both copied."""
    with backed_up_and_copied_shop(postgres_server, tmp_path_factory.mktemp("shop")) as made:
        made.sql("UPDATE meta_import_data SET cpm = 1 WHERE day = '2025-09-14'")
        made.back_up()
        made.copy()
        yield made


@pytest.fixture
def shop(common: CopiedDeployment, tmp_path: Path) -> CopiedDeployment:
    """The same on files of its own; the head of its chain has been seen."""
    made = on_own_files(common, tmp_path)
    read_chain(made.workspace.open())
    return made


def repaired(shop: Deployment, **options) -> RepairResult:
    """Plan and repair."""
    return repair(shop.workspace, plan_repair(shop.workspace, **options))


def whole(shop: Deployment) -> bool:
    """Whether a verification of everything finds nothing."""
    return verify(shop.workspace, read_data=True).faults == ()


def payload(shop: CopiedDeployment) -> dict[str, bytes]:
    """All objects but marks."""
    return {name: data for name, data in shop.objects().items() if not name.startswith("marks/")}


def test_a_whole_repository_needs_no_repair(shop: CopiedDeployment):
    """Nothing is written, exit code 0."""
    before = shop.objects()
    result = repaired(shop)
    assert (result.exit_code, result.healed, result.lost, result.backup) == (0, (), (), None)
    assert shop.objects() == before


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "block"])
def test_every_object_that_is_damaged_is_healed_from_the_copy(shop: CopiedDeployment, damage: str):
    """One of each kind at once, byte for byte, without a backup; a dry run says the same and writes nothing."""
    before = payload(shop)
    kinds = ("chunks/", "files/", "tables/", "backups/", "chain/", "repository.json")
    names = [next(name for name in before if name.startswith(kind)) for kind in kinds]
    for name in names:
        # A bit turned in a field's name of repository.json reads as a newer version, which nobody may heal away.
        DAMAGES["cut" if (damage, name) == ("flip", "repository.json") else damage](shop.file(name))
    damaged = shop.objects()
    plan = plan_repair(shop.workspace)
    assert {fault.object for fault in plan.document.from_copy} == set(names)
    assert (plan.document.remaining, plan.document.backup) == ((), False)
    assert shop.objects() == damaged
    result = repair(shop.workspace, plan)
    assert (result.exit_code, result.lost, result.backup) == (0, (), None)
    assert {(healed.object, healed.source) for healed in result.healed} == {(name, "copy") for name in names}
    assert payload(shop) == before
    assert whole(shop)


def test_what_lies_below_a_lost_document_is_found_through_the_copys(shop: CopiedDeployment):
    """A manifest, the table manifests it names and a chunk below them: all in one repair."""
    before = payload(shop)
    for name in [name for name in before if name.startswith(("backups/", "tables/"))] + shop.chunks()[:2]:
        remove(shop.file(name))
    assert repaired(shop, live=False).exit_code == 0
    assert payload(shop) == before


def test_a_marked_chunk_is_unmarked_once_it_is_healed(shop: CopiedDeployment):
    """The next full backup need not write it."""
    flip(shop.file(shop.chunks()[0]))
    assert verify(shop.workspace, read_data=True).marked == 1
    assert repaired(shop).exit_code == 0
    assert damaged_chunks(shop.workspace.store()) == frozenset()


def test_the_whole_history_comes_back(shop: CopiedDeployment):
    """Every entry, an exchanged one, and a tail that was cut off though nobody remembers its head."""
    before = payload(shop)
    for seq in (1, 2):
        remove(shop.file(chain_name(seq)))
    assert repaired(shop).exit_code == 0
    first, second = shop.file(chain_name(1)), shop.file(chain_name(2))
    data = first.read_bytes(), second.read_bytes()
    first.write_bytes(data[1])
    second.write_bytes(data[0])
    assert repaired(shop).exit_code == 0
    remove(second)
    shutil.rmtree(shop.folder / "state")
    assert whole(shop)  # nothing inside tells
    result = repaired(shop)
    assert [healed.object for healed in result.healed] == [chain_name(2)]
    assert payload(shop) == before


def test_a_rotten_entry_that_reads_well_is_healed_where_the_copys_fits(shop: CopiedDeployment):
    """The last entry, with a bit turned in the hash of its manifest and no remembered head to contradict it."""
    before = payload(shop)
    entry = shop.file(chain_name(2))
    data = entry.read_bytes()
    place = data.index(b'"manifest":"') + 12
    entry.write_bytes(data[:place] + (b"0" if data[place : place + 1] != b"0" else b"1") + data[place + 1 :])
    shutil.rmtree(shop.folder / "state")
    assert not whole(shop)
    shutil.rmtree(shop.folder / "state")
    assert repaired(shop).exit_code == 0
    assert payload(shop) == before


def test_a_damaged_history_of_the_copy_changes_nothing_here(shop: CopiedDeployment):
    """What is whole is left as it is."""
    before = payload(shop)
    flip(shop.copied_file(chain_name(1)))
    remove(shop.file(shop.chunks()[0]))
    assert repaired(shop).exit_code == 0
    assert payload(shop) == before


def test_the_live_data_heals_what_the_copy_cannot_give(shop: CopiedDeployment):
    """The same rows are the same bytes under the same name, so the older backup is healed too."""
    before = payload(shop)
    missing, rotten = shop.chunks()[:2]
    remove(shop.file(missing))
    remove(shop.copied_file(missing))
    flip(shop.file(rotten))
    cut(shop.copied_file(rotten))
    plan = plan_repair(shop.workspace)
    assert {fault.object for fault in plan.document.remaining} == {missing, rotten}
    assert plan.document.backup
    result = repair(shop.workspace, plan)
    assert (result.exit_code, result.lost) == (0, ())
    assert {(healed.object, healed.source) for healed in result.healed} == {
        (missing, "live data"),
        (rotten, "live data"),
    }
    assert shop.backups()[-1].id == result.backup
    assert (shop.backups()[-1].kind, shop.backups()[-1].reason) == ("full", "repair")
    assert payload(shop).items() >= before.items()
    assert whole(shop)


def test_what_nobody_has_any_more_is_lost_with_backups_table_and_days(shop: CopiedDeployment, postgres_server: Server):
    """Exit code 3 beside healed objects, 20 alone; --no-live takes no backup."""
    name = f"other_{shop.folder.name}"
    create_database(postgres_server, name)
    elsewhere = CopiedDeployment(postgres_server.url(name), shop.folder)
    try:
        elsewhere.sql(SHOP)
        elsewhere.sql("DELETE FROM meta_import_data")
        chunk = shop.chunk_entries()[0]
        lost, healed = shop.chunks()[:2]
        remove(shop.file(lost))
        remove(shop.copied_file(lost))
        nothing = repaired(elsewhere, live=False)
        assert (nothing.exit_code, nothing.backup) == (20, None)
        remove(shop.file(healed))
        result = repaired(elsewhere)
    finally:
        with psycopg.connect(postgres_server.url(), autocommit=True) as conn:
            conn.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
    assert result.exit_code == 3
    assert result.backup is not None
    (fault,) = result.lost
    assert (fault.object, fault.table) == (lost, str(META))
    assert fault.days == tuple(dict.fromkeys(day.day for day in chunk.days))
    assert fault.backups


def test_a_database_that_does_not_answer_leaves_what_the_copy_gave(shop: CopiedDeployment):
    """The live data could not be used, and the result says why."""
    unreachable = CopiedDeployment("postgresql://nobody@127.0.0.1:1/nowhere", shop.folder)
    first, second = shop.chunks()[:2]
    remove(shop.file(first))
    remove(shop.file(second))
    remove(shop.copied_file(second))
    result = repaired(unreachable)
    assert (result.exit_code, [healed.object for healed in result.healed]) == (3, [first])
    assert "The live data could not be used" in result.notes[-1]


def test_without_a_copy_the_live_data_alone_heals(shop: CopiedDeployment):
    """The result notes that there is none."""
    plain = Deployment(shop.url, shop.folder)
    name = shop.chunks()[0]
    flip(shop.file(name))
    result = repaired(plain)
    assert (result.exit_code, result.copy) == (0, None)
    assert [(healed.object, healed.source) for healed in result.healed] == [(name, "live data")]
    assert "No copy is configured" in result.notes[0]
    assert whole(plain)


def test_a_repository_that_is_gone_is_not_repaired_but_copied_back(shop: CopiedDeployment):
    """The error says how."""
    shutil.rmtree(shop.folder / "repository")
    with pytest.raises(NoRepository) as caught:
        plan_repair(shop.workspace)
    assert f"MOI_REPOSITORY={shop.folder / 'copy'} moi-backup copy" in caught.value.remedy


def test_a_copy_of_another_repository_heals_nothing(shop: CopiedDeployment, tmp_path: Path):
    """It is refused by its id, and without one by its history."""
    other = Deployment(shop.url, tmp_path / "other")
    other.folder.mkdir()
    other.configure("")
    other.initialise()
    other.back_up(full=True)
    remove(shop.file(shop.chunks()[0]))
    place = place_named("other/repository", cwd=tmp_path, setting="--from")
    with pytest.raises(UsageError, match="not a copy of"):
        plan_repair(shop.workspace, source=place)
    remove(shop.file("repository.json"))
    with pytest.raises(Damaged, match=r"repository\.json"):
        plan_repair(shop.workspace, source=place)


def test_a_copy_is_repaired_from_the_repository_in_the_same_way(shop: CopiedDeployment):
    """Whichever place is configured as the repository is the one that is healed."""
    name = next(name for name in shop.in_copy() if name.startswith("tables/"))
    flip(shop.copied_file(name))
    swapped = Swapped(shop.url, shop.folder)
    result = repaired(swapped, source=place_named("repository", cwd=shop.folder, setting="--from"), live=False)
    assert (result.exit_code, [healed.object for healed in result.healed]) == (0, [name])
    assert shop.in_copy() == payload(shop)


class Swapped(Deployment):
    """The copy in the place of the repository."""

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a process that works here."""
        plain = Deployment(self.url, self.folder).environ
        return {**plain, "MOI_REPOSITORY": str(self.folder / "copy")}
