"""The copy is verified like the repository, beside it or alone, and its lag is told."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from moi_backup.errors import ConfigurationError, NoRepository, UsageError
from moi_backup.operations.verify_copy import VerifyRequest, verify_both, verify_copy
from moi_backup.repository.marks import damaged_chunks
from moi_backup.settings import place_named
from tests.engine.conftest import Server
from tests.engine.copies import CopiedDeployment, backed_up_and_copied_shop, cut, flip, on_own_files
from tests.engine.deployment import Deployment

DATA = VerifyRequest(read_data=True)


@pytest.fixture(scope="module")
def common(postgres_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CopiedDeployment]:
    """A small shop with one backup, and its copy."""
    with backed_up_and_copied_shop(postgres_server, tmp_path_factory.mktemp("shop")) as made:
        yield made


@pytest.fixture
def shop(common: CopiedDeployment, tmp_path: Path) -> CopiedDeployment:
    """The same on files of its own."""
    return on_own_files(common, tmp_path)


def test_both_places_are_verified_and_told_apart(shop: CopiedDeployment):
    """Two clean bills, each with its place and what was read there."""
    found = verify_both(shop.workspace, DATA)
    assert found.copy is not None
    assert (found.exit_code, found.faults, found.copy.faults, found.copy.behind) == (0, (), (), ())
    assert (found.repository, found.copy.repository) == (str(shop.folder / "repository"), str(shop.folder / "copy"))
    assert found.data is not None
    assert found.copy.data is not None
    assert found.data.rows == found.copy.data.rows == 2003


def test_damage_in_the_copy_alone_is_damage(shop: CopiedDeployment):
    """It is the copy's fault and the copy's mark; the repository keeps its clean bill."""
    name = shop.chunks()[0]
    flip(shop.copied_file(name))
    found = verify_both(shop.workspace, DATA)
    assert found.copy is not None
    assert (found.exit_code, found.faults, [fault.object for fault in found.copy.faults]) == (20, (), [name])
    assert len(damaged_chunks(shop.workspace.copy_store())) == found.copy.marked == 1
    assert damaged_chunks(shop.workspace.store()) == frozenset()
    alone = verify_copy(shop.workspace, DATA)
    assert (alone.exit_code, [fault.object for fault in alone.faults]) == (20, [name])


def test_damage_in_the_repository_is_not_hidden_by_the_copy(shop: CopiedDeployment):
    """A verification reads the place it speaks of, never the other."""
    name = shop.chunks()[0]
    flip(shop.file(name))
    found = verify_both(shop.workspace, DATA)
    assert found.copy is not None
    assert ([fault.object for fault in found.faults], found.copy.faults) == ([name], ())
    assert verify_copy(shop.workspace, DATA).exit_code == 0


def test_the_lag_of_the_copy_is_told_and_is_no_damage(shop: CopiedDeployment):
    """The backups it does not have yet, by their ids."""
    newer = [shop.back_up().manifest.id for _ in range(2)]
    found = verify_both(shop.workspace, VerifyRequest())
    assert found.copy is not None
    assert (found.exit_code, found.copy.behind) == (0, tuple(newer))
    assert verify_copy(shop.workspace, VerifyRequest()).behind == tuple(newer)
    shop.copy()
    assert verify_copy(shop.workspace, VerifyRequest()).behind == ()


def test_the_copy_is_verified_when_the_repository_is_gone(shop: CopiedDeployment):
    """Then nobody knows how far it lags, and a note says so."""
    shutil.rmtree(shop.folder / "repository")
    found = verify_copy(shop.workspace, DATA)
    assert (found.exit_code, found.behind) == (0, None)
    assert "How far the copy lags is not known" in found.notes[-1]
    with pytest.raises(NoRepository):
        verify_both(shop.workspace, DATA)


def test_a_copy_that_cannot_be_opened_is_a_fault_of_the_copy(shop: CopiedDeployment):
    """The repository is verified all the same."""
    cut(shop.copied_file("repository.json"))
    found = verify_both(shop.workspace, DATA)
    assert found.copy is not None
    assert (found.exit_code, found.faults, found.copy.faults[0].object) == (20, (), "repository.json")
    assert found.data is not None


def test_another_repository_or_none_is_refused_as_the_copy(shop: CopiedDeployment, tmp_path: Path):
    """By its id; and without a configured copy one must be named."""
    other = Deployment(shop.url, tmp_path / "other")
    other.folder.mkdir()
    other.configure("")
    other.initialise()
    place = place_named("other/repository", cwd=tmp_path, setting="--copy")
    for look in (verify_both, verify_copy):
        with pytest.raises(UsageError, match="not a copy of"):
            look(shop.workspace, VerifyRequest(), copy=place)
        with pytest.raises(ConfigurationError, match="No copy"):
            look(Deployment(shop.url, shop.folder).workspace, VerifyRequest())
