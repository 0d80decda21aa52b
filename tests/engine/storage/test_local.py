"""What only the local store can get wrong: kill -9, modes, full disks, closed folders, other file systems."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

import moi_backup
from moi_backup.errors import StorageError
from moi_backup.storage.local import LocalStore, storage_error
from moi_backup.storage.store import ObjectMissing

CHECKOUT = Path(moi_backup.__file__).parents[1]
SIZE = 1_000_000
KILLS = 12
NOBODY = 65534

WRITER = """
import sys
from pathlib import Path
from moi_backup.storage.local import LocalStore
store = LocalStore(Path(sys.argv[1]))
turn = 0
while True:
    turn += 1
    store.put("files/one", (b"a" if turn % 2 else b"b") * int(sys.argv[2]))
    store.create(f"chain/{turn:010d}", b"c" * int(sys.argv[2]))
    if turn == 1:
        print("writing", flush=True)
"""


def test_killed_at_any_moment_it_leaves_the_old_object_or_the_new_one(tmp_path: Path):
    """After kill -9 in the middle of writing every object is whole, and what is left over lies in `tmp/` only."""
    store = LocalStore(tmp_path)
    for turn in range(KILLS):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path, str(SIZE)], stdout=subprocess.PIPE, cwd=CHECKOUT
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"writing\n"
            time.sleep(0.003 * turn)
            writer.send_signal(signal.SIGKILL)
        assert store.get("files/one") in (b"a" * SIZE, b"b" * SIZE)
        for info in list(store.list("chain/")):
            assert store.get(info.name) == b"c" * SIZE
            store.delete(info.name)
    assert {path.name for path in tmp_path.iterdir()} == {"tmp", "files", "chain"}


def test_only_the_owner_can_enter(tmp_path: Path):
    """Every folder the store makes has mode 0700 and every object 0600, uploaded ones too."""
    store = LocalStore(tmp_path / "repository")
    store.put("files/one", b"1")
    upload = tmp_path / "upload"
    upload.write_bytes(b"2")
    upload.chmod(0o644)
    store.upload("chunks/a/b/two", upload)
    for path in (tmp_path / "repository", *(tmp_path / "repository").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_nothing_is_made_before_the_first_write(tmp_path: Path):
    """Looking into a place that does not exist leaves it so."""
    store = LocalStore(tmp_path / "none")
    assert list(store.list("chain/")) == []
    with pytest.raises(ObjectMissing):
        store.get("repository.json")
    assert not (tmp_path / "none").exists()


def test_no_write_leaves_a_temporary_file(tmp_path: Path):
    """Put, a create that wins, one that loses and an upload clear up after themselves."""
    store = LocalStore(tmp_path)
    store.put("files/one", b"1")
    store.create("chain/1", b"1")
    store.create("chain/1", b"2")
    file = store.scratch() / "x"
    file.write_bytes(b"3")
    store.upload("files/two", file)
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.fixture
def other_file_system() -> Generator[Path]:
    """A folder on another device than the temporary folder of the tests."""
    memory = Path("/dev/shm")  # noqa: S108  # the one other file system an ordinary user finds on Linux
    if not memory.is_dir():
        pytest.skip(f"{memory} is missing: no second file system to upload from")
    folder = memory / f"moi-backup-test-{os.getpid()}"
    folder.mkdir()
    yield folder
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def test_an_upload_from_another_file_system_is_copied_and_removed(tmp_path: Path, other_file_system: Path):
    """A rename cannot cross devices, an upload can."""
    if other_file_system.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("the temporary folder of the tests lies on that file system too")
    file = other_file_system / "finished"
    file.write_bytes(b"far" * SIZE)
    store = LocalStore(tmp_path)
    store.upload("files/far", file)
    assert store.get("files/far") == b"far" * SIZE
    assert not file.exists()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_an_upload_of_nothing_is_an_error_of_writing(tmp_path: Path):
    """A local file that is gone is not mistaken for a missing object."""
    with pytest.raises(StorageError, match="Could not write files/x"):
        LocalStore(tmp_path).upload("files/x", tmp_path / "gone")


@pytest.fixture
def small_files_only() -> Generator[None]:
    """The system refuses to let any file grow past a few kilobytes: the nearest to a full disk without a mount."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_write_without_room_leaves_the_old_object(tmp_path: Path, request):
    """The error names object and place and says to make room; the old bytes stay and no temporary file does."""
    store = LocalStore(tmp_path)
    store.put("files/one", b"old")
    request.getfixturevalue("small_files_only")
    with pytest.raises(StorageError) as caught:
        store.put("files/one", b"new" * SIZE)
    assert "files/one" in caught.value.what
    assert str(tmp_path) in caught.value.what
    assert "Free space" in caught.value.remedy
    assert store.get("files/one") == b"old"
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("number", "verb", "remedy"),
    [
        (errno.ENOSPC, "write", "Free space"),
        (errno.EDQUOT, "write", "quota"),
        (errno.EROFS, "write", "writable"),
        (errno.EPERM, "write", "hard links"),
        (errno.EACCES, "read", "user who owns"),
        (errno.EIO, "read", "mounted and healthy"),
    ],
)
def test_every_refusal_of_the_system_says_what_to_do(number: int, verb: str, remedy: str):
    """The error repeats the system's reason and adds the step that helps."""
    error = storage_error(OSError(number, os.strerror(number)), verb=verb, name="files/one", address="/srv/r")
    assert error.what == f"Could not {verb} files/one in /srv/r: {os.strerror(number)}."
    assert remedy in error.remedy


@pytest.fixture
def closed_store(tmp_path: Path) -> Generator[LocalStore]:
    """A store whose folder this process may not enter; root becomes nobody for it, as modes do not stop root."""
    store = LocalStore(tmp_path)
    store.put("files/one", b"1")
    root = os.geteuid() == 0
    tmp_path.chmod(0o700 if root else 0)
    if root:
        os.seteuid(NOBODY)
    yield store
    if root:
        os.seteuid(0)
    tmp_path.chmod(0o700)


def test_a_closed_folder_is_an_error_and_not_an_empty_store(closed_store: LocalStore):
    """Without permission nothing is called missing, and a list is not silently shorter."""
    with pytest.raises(StorageError, match="Could not read files/one"):
        closed_store.get("files/one")
    with pytest.raises(StorageError, match="Could not list files/"):
        list(closed_store.list("files/"))
    with pytest.raises(StorageError, match="Could not write files/two") as caught:
        closed_store.put("files/two", b"2")
    assert "Run as the user who owns the repository" in caught.value.remedy
    with pytest.raises(StorageError, match="Could not delete files/one"):
        closed_store.delete("files/one")


def test_what_another_program_left_in_the_place_of_a_folder_is_named(tmp_path: Path):
    """A plain file where a folder should be is an error with the object's name."""
    (tmp_path / "chain").write_bytes(b"")
    with pytest.raises(StorageError, match="Could not write chain/1"):
        LocalStore(tmp_path).create("chain/1", b"x")
