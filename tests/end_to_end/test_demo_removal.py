import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from demo import platform
from demo.application import create_tables
from demo.place import MARKER, Place
from demo.removal import reason_to_keep, remove
from moi_backup.errors import UsageError
from moi_backup.operations.take_backup import BackupRequest, take_backup
from moi_backup.operations.workspace import Workspace
from moi_backup.postgres import embedded
from moi_backup.repository.repository import create
from moi_backup.settings import read_settings


def place_at(state: Path, **environment: str) -> Place:
    """A place with this state folder."""
    return Place(read_settings({"MOI_STATE": str(state), **environment}, cwd=state.parent, effective_uid=os.geteuid()))


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="moi-demo-"))
    made.chmod(0o755)
    yield made
    embedded.stop(made / "state")
    shutil.rmtree(made)


def back_up(place: Place) -> str:
    """Make the place's repository and one backup of its source in it; the repository's id."""
    workspace = Workspace(place.settings)
    identity = create(workspace.store(), now=workspace.clock.now(), entropy=os.urandom)
    take_backup(workspace, BackupRequest(full=True))
    return identity


def test_a_clean_up_removes_the_demos_backups_and_keeps_those_of_any_other_database(folder: Path) -> None:
    """The same repository goes while the server it was taken from is the demo's, and stays when that is another."""
    place = place_at(folder / "state")
    place.claim()
    server = place.prepare()
    with psycopg.connect(server.url("moi"), autocommit=True) as connection:
        create_tables(connection)
    identity = back_up(place)
    (place.state / "heads" / "another.json").write_text("{}")
    elsewhere = folder / "elsewhere"
    shutil.copytree(place.state / "repository", elsewhere / "repository")
    shutil.copytree(place.state / "heads", elsewhere / "heads")

    platform.clean(place, yes=True)
    assert sorted(found.name for found in place.state.rglob("*")) == ["another.json", "heads"]

    another = place_at(elsewhere)
    another.claim()
    platform.clean(another, yes=True)
    assert (elsewhere / "repository" / "repository.json").exists()
    assert list((elsewhere / "heads").glob(f"{identity}.*.json"))
    assert not (elsewhere / MARKER).exists()


def test_a_configured_repository_stays_even_inside_the_state_folder(folder: Path) -> None:
    """Whoever chose the place of the backups keeps them."""
    place = place_at(folder / "state", MOI_REPOSITORY=str(folder / "state" / "repository"))
    assert reason_to_keep(place) == "you configured it"


def test_a_clean_up_never_follows_a_link(folder: Path) -> None:
    """A linked folder loses its link and nothing of its contents."""
    place = place_at(folder / "state")
    place.claim()
    (folder / "mine").mkdir()
    (folder / "mine" / "precious").write_text("yes")
    (place.state / "exports").symlink_to(folder / "mine")
    remove(place, repository=True)
    assert (folder / "mine" / "precious").read_text() == "yes"
    assert not place.state.exists()


def test_a_folder_with_files_of_somebody_else_never_becomes_the_platforms(folder: Path) -> None:
    """Names the platform would use and a clean-up would remove are refused where they exist already."""
    place = place_at(folder / "state")
    (place.state / "exports").mkdir(parents=True)
    with pytest.raises(UsageError, match="it holds exports"):
        place.claim()
    assert not (place.state / MARKER).exists()
