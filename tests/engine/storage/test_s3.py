"""What only a bucket can get wrong: lost answers, overload, broken connections, large objects, stores that cheat."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier

import pytest

import moi_backup
from moi_backup.errors import StorageError
from moi_backup.storage.address import Bucket
from moi_backup.storage.s3 import S3Store
from moi_backup.storage.s3_client import PART_BYTES, Patience
from moi_backup.storage.store import ObjectMissing
from tests.engine.storage.faulty_proxy import CUT, DROP, LOSE, STALL, Fault, FaultyProxy, Request
from tests.engine.storage.seaweed import ObjectServer, free_ports, object_server

CHECKOUT = Path(moi_backup.__file__).parents[1]
QUICK = Patience(connect=1, answer=1, transfer=2, retries=4, first_wait=0.01, longest_wait=0.05, total=10)
MIB = 1 << 20


@pytest.fixture
def direct(s3_server: ObjectServer, bucket: Bucket, tmp_path: Path) -> S3Store:
    """The store without anything between."""
    return S3Store(bucket, scratch=tmp_path / "direct", access=s3_server.access())


@pytest.fixture
def faulty(s3_server: ObjectServer, proxy: FaultyProxy, bucket: Bucket, tmp_path: Path) -> S3Store:
    """The same store through the proxy, with little patience."""
    access = s3_server.access(endpoint=proxy.endpoint)
    return S3Store(bucket, scratch=tmp_path / "faulty", access=access, patience=QUICK)


def writes(proxy: FaultyProxy) -> int:
    """How many PUTs arrived."""
    return sum(request.method == "PUT" for request in proxy.seen)


def file_of(folder: Path, data: bytes) -> Path:
    """A file to upload."""
    path = folder / f"file-{os.urandom(4).hex()}"
    path.write_bytes(data)
    return path


class TestCreating:
    @pytest.mark.parametrize("fault", [LOSE, DROP, STALL, 503, (409, "ConditionalRequestConflict")])
    def test_a_create_that_was_not_answered_tells_the_truth_when_it_won(self, faulty, direct, proxy, fault: Fault):
        """Whether the first attempt was carried out or not, the second says True, and the bytes are there."""
        proxy.first(1, fault, method="PUT")
        assert faulty.create("chain/0000000001", b"mine") is True
        assert direct.get("chain/0000000001") == b"mine"
        assert writes(proxy) >= 2

    @pytest.mark.parametrize("fault", [LOSE, DROP])
    def test_a_create_that_was_not_answered_tells_the_truth_when_it_lost(self, faulty, direct, proxy, fault: Fault):
        """Another writer's object that came first is found by the second attempt, which says False and leaves it."""

        def other_first(request: Request) -> Fault | None:
            if request.method != "PUT" or writes(proxy) > 1:
                return None
            assert direct.create("chain/0000000001", b"theirs")
            return fault

        proxy.choose = other_first
        assert faulty.create("chain/0000000001", b"mine") is False
        assert direct.get("chain/0000000001") == b"theirs"

    def test_a_create_that_is_never_answered_says_that_it_is_unknown(self, faulty, proxy):
        """When no attempt is answered nothing is claimed."""
        proxy.first(1000, LOSE, method="PUT")
        with pytest.raises(StorageError) as caught:
            faulty.create("chain/0000000001", b"mine")
        assert "It is not known whether this step was carried out" in caught.value.meaning

    def test_an_equal_object_of_before_is_no_success(self, faulty, direct):
        """Creating the same bytes twice succeeds once: only a repeated attempt looks at the bytes."""
        assert direct.create("marks/one", b"") is True
        assert faulty.create("marks/one", b"") is False

    def test_a_store_that_ignores_the_condition_is_found_out(self, faulty, proxy):
        """A store that answers every conditional write with success gets no second one."""
        proxy.choose = lambda request: 200 if request.conditional else None
        with pytest.raises(StorageError, match="ignores conditional writes"):
            faulty.create("chain/0000000001", b"mine")

    def test_the_condition_is_proved_once(self, faulty, proxy):
        """The proof costs one request for each store that is opened, not for each object."""
        for number in range(3):
            assert faulty.create(f"chain/{number}", b"x")
        assert writes(proxy) == 4

    def test_many_creators_agree_on_one_winner_each_time(self, s3_server: ObjectServer, bucket: Bucket, tmp_path: Path):
        """Twelve writers with stores of their own create the same names: each has one winner, whose bytes stay."""
        stores = [S3Store(bucket, scratch=tmp_path, access=s3_server.access()) for _ in range(12)]
        barrier = Barrier(len(stores))

        def race(number: int) -> list[bool]:
            barrier.wait(10)
            return [stores[number].create(f"chain/{name}", str(number).encode()) for name in range(5)]

        with ThreadPoolExecutor(len(stores)) as pool:
            outcomes = list(pool.map(race, range(len(stores))))
        for name in range(5):
            winners = [number for number, outcome in enumerate(outcomes) if outcome[name]]
            assert [str(number).encode() for number in winners] == [stores[0].get(f"chain/{name}")]


CALLS: dict[str, tuple[str, Callable[[S3Store, Path], object]]] = {
    "get": ("GET", lambda store, _: store.get("files/one")),
    "info": ("HEAD", lambda store, _: store.info("files/one")),
    "list": ("GET", lambda store, _: list(store.list("files/"))),
    "local": ("GET", lambda store, _: _read_local(store)),
    "put": ("PUT", lambda store, _: store.put("files/two", b"2")),
    "create": ("PUT", lambda store, _: store.create("files/three", b"3")),
    "upload": ("PUT", lambda store, folder: store.upload("files/four", file_of(folder, b"4" * 100))),
    "parts": ("PUT", lambda store, folder: store.upload("files/five", file_of(folder, b"5" * (2 * PART_BYTES + 1)))),
    "begin parts": ("POST", lambda store, folder: store.upload("files/five", file_of(folder, b"5" * 2 * PART_BYTES))),
    "delete": ("DELETE", lambda store, _: store.delete("files/one")),
}


def _read_local(store: S3Store) -> bytes:
    with store.local("files/one") as path:
        return path.read_bytes()


class TestRepeating:
    @pytest.mark.parametrize("call", CALLS)
    @pytest.mark.parametrize("fault", [(503, "SlowDown"), 429, LOSE])
    def test_a_passing_fault_is_not_noticed(self, faulty, direct, proxy, tmp_path: Path, call: str, fault: Fault):
        """Overload, errors of the server and broken connections, twice each: every call gets through and is right."""
        direct.put("files/one", b"1" * 1000)
        method, act = CALLS[call]
        proxy.first(2, fault, method=method)
        found = act(faulty, tmp_path)
        if call in ("get", "local"):
            assert found == b"1" * 1000
        expected = {
            "put": ("two", 1),
            "create": ("three", 1),
            "upload": ("four", 100),
            "parts": ("five", 2 * PART_BYTES + 1),
        }
        for name, size in (expected[call],) if call in expected else ():
            assert direct.info(f"files/{name}").size == size
        if call == "delete":
            assert list(direct.list("")) == []

    @pytest.mark.parametrize("call", CALLS)
    @pytest.mark.parametrize(("fault", "reason"), [(503, "status 503"), (DROP, "broke the connection")])
    def test_a_lasting_fault_is_an_error_in_bounded_time(
        self, faulty, direct, proxy, tmp_path: Path, call: str, fault: Fault, reason: str
    ):
        """Patience ends: the error names the place and the reason, after seconds."""
        direct.put("files/one", b"1")
        method, act = CALLS[call]
        proxy.first(100_000, fault, method=method)
        began = time.monotonic()
        with pytest.raises(StorageError, match=reason) as caught:
            act(faulty, tmp_path)
        assert time.monotonic() - began < 20
        assert faulty.address in caught.value.what
        assert caught.value.remedy

    @pytest.mark.parametrize("size", [1000, 3 * MIB])
    def test_an_answer_that_breaks_off_is_read_again(self, faulty, direct, proxy, size: int):
        """Half a body is never taken for the object."""
        data = os.urandom(size)
        direct.put("files/one", data)
        proxy.first(2, CUT, method="GET")
        assert faulty.get("files/one") == data
        proxy.first(2, CUT, method="GET")
        assert _read_local(faulty) == data

    def test_answers_that_always_break_off_are_an_error_and_leave_no_file(self, faulty, direct, proxy):
        """The copy in the scratch folder is removed."""
        direct.put("files/one", os.urandom(MIB))
        proxy.first(1000, CUT, method="GET")
        with pytest.raises(StorageError, match="Could not read files/one"):
            _read_local(faulty)
        assert list(faulty.scratch().iterdir()) == []

    def test_a_refusal_is_not_repeated(self, faulty, proxy):
        """What will be refused again is said at once."""
        proxy.first(1000, (403, "AccessDenied"), method="PUT")
        with pytest.raises(StorageError) as caught:
            faulty.put("files/one", b"1")
        assert writes(proxy) == 1
        assert "as it was before" in caught.value.meaning

    def test_a_refusal_after_a_lost_answer_claims_nothing(self, faulty, proxy):
        """The first attempt may have been carried out, although the second one was refused."""
        proxy.choose = lambda _: LOSE if len(proxy.seen) == 1 else (403, "AccessDenied")
        with pytest.raises(StorageError) as caught:
            faulty.put("files/one", b"1")
        assert "It is not known" in caught.value.meaning

    def test_that_the_bucket_is_there_is_asked_once(self, faulty, proxy):
        """HEAD does not tell a missing bucket from a missing object; GET does, and need not be asked each time."""
        for number in range(3):
            with pytest.raises(ObjectMissing):
                faulty.info(f"chunks/{number}")
        assert [request.method for request in proxy.seen] == ["HEAD", "GET", "HEAD", "HEAD"]


class TestUnreached:
    def test_a_server_that_stopped_is_named_in_bounded_time(self, bucket: Bucket, tmp_path: Path):
        """A store that served and then died leads to an error with its address and the first thing to check."""
        with object_server() as server:
            store = S3Store(bucket, scratch=tmp_path, access=server.access(), patience=QUICK)
            store.put("files/one", b"1")
            server.process.kill()
            server.process.wait(10)
            began = time.monotonic()
            for act in (
                lambda: store.get("files/one"),
                lambda: store.create("files/two", b""),
                lambda: list(store.list("")),
            ):
                with pytest.raises(StorageError, match=f"nothing answers at {server.endpoint}") as caught:
                    act()
                assert "that the store runs" in caught.value.remedy
            assert time.monotonic() - began < 20

    def test_silence_is_an_error_in_bounded_time(self, faulty, proxy):
        """A server that accepts and says nothing does not hold an operation for ever."""
        proxy.choose = lambda _: STALL
        began = time.monotonic()
        with pytest.raises(StorageError, match="did not answer in time"):
            faulty.get("files/one")
        assert time.monotonic() - began < 20

    def test_patience_waits_longer_each_time_and_ends(self, s3_server: ObjectServer, bucket: Bucket, tmp_path: Path):
        """The waits double up to the longest, and no attempt begins once the total has passed."""
        [port] = free_ports(1)
        now, waits = [0.0], []

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            now[0] += seconds

        patience = Patience(retries=8, first_wait=1, longest_wait=8, total=20)
        access = s3_server.access(endpoint=f"http://127.0.0.1:{port}")
        store = S3Store(bucket, scratch=tmp_path, access=access, patience=patience, clock=lambda: now[0], sleep=sleep)
        with pytest.raises(StorageError):
            store.get("files/one")
        assert waits == [1, 2, 4, 8]


class TestLarge:
    def test_a_hundred_megabytes_travel_in_bounded_memory(
        self, s3_server: ObjectServer, bucket: Bucket, tmp_path: Path
    ):
        """Upload in parts and download in blocks: the process never holds more than a part of the object."""
        if not Path("/proc/self/clear_refs").exists():
            pytest.skip("no /proc/self/clear_refs: the peak of a process's memory can be measured on Linux only")
        script = """
import os, sys
from pathlib import Path
from moi_backup.storage.opening import open_store
from moi_backup.storage.s3_access import read_access
address, folder = sys.argv[1], Path(sys.argv[2])
store = open_store(address, scratch=folder / "scratch", access=read_access(os.environ))
store.put("warm", b"")
file = folder / "large"
with file.open("wb") as opened:
    for _ in range(100):
        opened.write(os.urandom(1 << 20))
from hashlib import blake2b, file_digest
with file.open("rb") as opened:
    digest = file_digest(opened, blake2b).hexdigest()
def peak():
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1])
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew here: it is inherited from the parent process
before = peak()
store.upload("large", file)
with store.local("large") as path:
    assert path.stat().st_size == 100 << 20
    with path.open("rb") as opened:
        assert file_digest(opened, blake2b).hexdigest() == digest
print((peak() - before) >> 10)
"""
        done = subprocess.run(
            [sys.executable, "-c", script, str(bucket), tmp_path],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd=CHECKOUT,
            env=os.environ | s3_server.environ(),
        )
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) < 64, "MiB more than before"

    def test_a_list_has_more_than_a_page(self, direct):
        """Stores answer a thousand names at a time; all of them arrive, in order."""
        names = [f"chunks/{number:05d}" for number in range(1_050)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda name: direct.put(name, b""), reversed(names)))
        assert [info.name for info in direct.list("chunks/")] == names


class TestLocalFiles:
    def test_a_copy_lives_as_long_as_its_context(self, direct):
        """Nothing is left in the scratch folder, whatever happens inside."""
        direct.put("files/one", b"1")
        with suppress(RuntimeError), direct.local("files/one") as path:
            assert list(direct.scratch().iterdir()) == [path]
            raise RuntimeError
        assert list(direct.scratch().iterdir()) == []

    def test_a_missing_object_leaves_no_copy(self, direct):
        """Not even an empty one."""
        with pytest.raises(ObjectMissing), direct.local("files/none"):
            pass
        assert list(direct.scratch().iterdir()) == []

    def test_a_scratch_folder_that_cannot_be_made_is_named(self, s3_server, bucket, tmp_path: Path):
        """The medium that failed is this machine's disk, not the bucket."""
        (tmp_path / "file").write_bytes(b"")
        store = S3Store(bucket, scratch=tmp_path / "file" / "scratch", access=s3_server.access())
        with pytest.raises(StorageError, match="scratch folder"), store.local("files/one"):
            pass

    def test_an_upload_of_nothing_is_an_error_of_writing(self, direct, tmp_path: Path):
        """A local file that is gone is not mistaken for a missing object."""
        with pytest.raises(StorageError, match="Could not write files/x"):
            direct.upload("files/x", tmp_path / "gone")

    def test_a_failed_upload_keeps_its_file(self, faulty, proxy, tmp_path: Path):
        """Only what has arrived is removed."""
        proxy.first(1000, 503, method="PUT")
        file = file_of(tmp_path, b"x")
        with pytest.raises(StorageError):
            faulty.upload("files/x", file)
        assert file.read_bytes() == b"x"
