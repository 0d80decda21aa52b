"""Leases: one holder at a time, safe takeover from a dead one, and fencing of who was taken over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

import moi_backup
from moi_backup.errors import Locked, StorageError
from moi_backup.repository import layout
from moi_backup.repository.clock import SystemClock
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.documents import decode_document, encode_document
from moi_backup.repository.identity import Identity, is_gone, own_identity
from moi_backup.repository.leases import Beat, Lease, LeaseDocument, acquire
from moi_backup.storage.local import LocalStore
from tests.engine.repository.conftest import HandClock

CHECKOUT = Path(moi_backup.__file__).parents[1]
ELSEWHERE = Identity(host="elsewhere", boot="another boot", pid=1, process_started="1")
SHORT = 0.6

HOLDER = """
import sys, time
from pathlib import Path
from moi_backup.repository.clock import SystemClock
from moi_backup.repository.identity import own_identity
from moi_backup.repository.leases import acquire
from moi_backup.storage.local import LocalStore
acquire(LocalStore(Path(sys.argv[1])), "writer", operation="backup --full", wait=0, clock=SystemClock(),
        identity=own_identity())
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(store: LocalStore) -> Generator[subprocess.Popen[bytes]]:
    """Another process that holds the lease."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, store.address], stdout=subprocess.PIPE, cwd=CHECKOUT
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def take(store, clock, *, operation="restore", wait=0.0, identity=None, ttl=60.0) -> Lease:
    """Acquire the writer's lease."""
    who = own_identity() if identity is None else identity
    return acquire(store, "writer", operation=operation, wait=wait, clock=clock, identity=who, ttl=ttl)


def foreign_lease(store: LocalStore, *, beat: int | None = 1) -> None:
    """What a process on another machine left behind."""
    document = LeaseDocument(
        epoch=1,
        host=ELSEWHERE.host,
        boot=ELSEWHERE.boot,
        pid=ELSEWHERE.pid,
        process_started=ELSEWHERE.process_started,
        operation="backup",
        ttl_seconds=60.0,
        at="2026-11-24T20:30:00.000000+00:00",
    )
    store.create(layout.lease_name("writer", 1), encode_document(document))
    if beat is not None:
        write_beat(store, beat)


def write_beat(store: LocalStore, count: int) -> None:
    """One heartbeat of the process on the other machine."""
    store.put(layout.beat_name("writer", 1), encode_document(Beat(count=count, state="held")))


def test_a_second_holder_is_refused_and_told_who_the_first_is(store, clock, holder):
    """Host, process, operation and since when stand in the error, with exit code 11."""
    with pytest.raises(Locked) as caught:
        take(store, clock)
    assert caught.value.exit_code == 11
    since = decode_document(store.get(layout.lease_name("writer", 1)), LeaseDocument, name="").at
    for fact in ("backup --full", str(holder.pid), own_identity().host, since):
        assert fact in caught.value.what


def test_the_same_process_cannot_hold_a_lease_twice(store, clock, lease):
    """Two operations in one process exclude each other too."""
    with pytest.raises(Locked, match=f"process {os.getpid()}"):
        take(store, clock)


def test_different_leases_do_not_disturb_each_other(store, clock, lease, identity):
    """A prune can hold its own beside the writer's."""
    with acquire(store, "prune", operation="prune", wait=0, clock=clock, identity=identity) as other:
        other.assert_held()
    lease.assert_held()


def test_a_killed_holder_on_this_machine_is_replaced_at_once(store, clock, holder):
    """After kill -9 nobody waits, not even while the dead process is still in the process table."""
    holder.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet reaped
    with take(store, clock) as lease:
        assert lease.epoch == 2
    assert clock.elapsed == 0
    holder.wait()


def test_a_reaped_holder_is_replaced_at_once_too(store, clock, holder):
    """Its process id is free by then."""
    holder.kill()
    holder.wait()
    with take(store, clock) as lease:
        assert lease.epoch == 2


def test_an_epoch_never_comes_again_when_only_its_heartbeat_is_left(store, clock):
    """A new holder under the old number would be taken for released by the old heartbeat."""
    take(store, clock).release()
    store.delete(layout.lease_name("writer", 1))
    with take(store, clock) as lease:
        assert lease.epoch == 2


@pytest.mark.parametrize("name", [layout.lease_name("writer", 1), layout.beat_name("writer", 1)])
def test_a_rotten_lease_is_refused_with_what_to_remove(store, clock, name: str):
    """Who holds it is not known, so nobody writes until a person has looked; then the next one does."""
    take(store, clock).release()
    store.put(name, b"rotten")
    with pytest.raises(DamagedObject, match=name) as caught:
        take(store, clock)
    assert f"remove {name}" in caught.value.remedy
    store.delete(layout.beat_name("writer", 1))
    store.delete(layout.lease_name("writer", 1))
    take(store, clock).release()


def test_another_process_under_the_same_id_is_not_the_holder(identity: Identity):
    """Process ids are used again: the start time tells them apart; without one nobody is declared dead."""
    assert not is_gone(identity, own=identity)
    assert is_gone(replace(identity, process_started="1"), own=identity)
    assert not is_gone(replace(identity, process_started=""), own=identity)


def test_nobody_is_declared_dead_from_another_machine_or_boot(identity: Identity):
    """A process id means nothing elsewhere."""
    nobody = replace(identity, pid=2**22 + 1)
    assert is_gone(nobody, own=identity)
    assert not is_gone(replace(nobody, host="elsewhere"), own=identity)
    assert not is_gone(replace(nobody, boot="another"), own=identity)
    assert not is_gone(replace(nobody, boot=""), own=replace(identity, boot=""))


def test_released_leases_go_on_with_the_next_epoch(store, clock):
    """The epoch only grows, so it can fence; older ones are cleared away."""
    for epoch in (1, 2, 3):
        with take(store, clock) as lease:
            assert lease.epoch == epoch
    names = [info.name for info in store.list("leases/")]
    assert names == [layout.lease_name("writer", 3), layout.beat_name("writer", 3)]


def test_a_foreign_holder_is_taken_over_only_after_its_time_to_live(store, clock: HandClock):
    """The beat must stand still for the whole time on the waiting process's own clock."""
    foreign_lease(store)
    with pytest.raises(Locked, match="process 1 on elsewhere"):
        take(store, clock, wait=59)
    assert clock.elapsed == pytest.approx(59)
    with take(store, clock, wait=100) as lease:
        assert lease.epoch == 2
    assert 59 + 60 <= clock.elapsed < 59 + 62


def test_a_foreign_holder_that_beats_is_never_taken_over(store, clock: HandClock):
    """Each change of the beat starts the time anew, however long one waits."""
    foreign_lease(store)
    clock.during_sleep = lambda: write_beat(store, int(clock.elapsed) // 50)
    with pytest.raises(Locked):
        take(store, clock, wait=500)


def test_a_foreign_holder_that_never_beat_is_taken_over_too(store, clock: HandClock):
    """Killed between its lease and its first beat, it has a lease object only."""
    foreign_lease(store, beat=None)
    with take(store, clock, wait=100) as lease:
        assert lease.epoch == 2
    assert clock.elapsed >= 60


def test_a_holder_silent_for_long_is_waited_out_unasked(store, clock: HandClock):
    """After a reboot the next run works unaided: an old beat is worth one time to live of waiting."""
    foreign_lease(store)
    long_ago = time.time() - 3600
    os.utime(Path(store.address) / layout.beat_name("writer", 1), (long_ago, long_ago))
    with take(store, clock, wait=0) as lease:
        assert lease.epoch == 2
    assert 60 <= clock.elapsed < 62


def test_a_clock_of_the_store_that_is_wrong_never_takes_a_living_lease(store, clock: HandClock):
    """An old time on the beat is only a hint: a holder that beats meanwhile keeps its lease."""
    foreign_lease(store)
    beat = Path(store.address) / layout.beat_name("writer", 1)

    def beat_with_a_wrong_time() -> None:
        write_beat(store, int(clock.elapsed) // 10)
        os.utime(beat, (0, 0))

    beat_with_a_wrong_time()
    clock.during_sleep = beat_with_a_wrong_time
    with pytest.raises(Locked):
        take(store, clock, wait=0)


def test_waiting_ends_when_the_holder_lets_go(store, clock: HandClock, identity):
    """`wait` is a limit, not a delay."""
    first = take(store, clock)
    clock.during_sleep = lambda: first.release() if clock.elapsed >= 3 else None
    with take(store, clock, wait=100) as second:
        assert second.epoch == 2
    assert clock.elapsed < 5


def test_who_was_taken_over_is_fenced(store, clock, lease):
    """A higher epoch means the lease is lost, and the error names the new holder."""
    lease.assert_held()
    document = decode_document(store.get(layout.lease_name("writer", 1)), LeaseDocument, name="")
    taken = msgspec.structs.replace(document, epoch=2, host="elsewhere", operation="expire")
    store.create(layout.lease_name("writer", 2), encode_document(taken))
    with pytest.raises(Locked, match=r"expire by process \d+ on elsewhere"):
        lease.assert_held()
    lease.release()
    with pytest.raises(LookupError):
        store.get(layout.beat_name("writer", 1))


def test_a_released_lease_is_not_held(store, clock):
    """After release nothing can be published under it; releasing twice does no harm."""
    lease = take(store, clock)
    lease.release()
    lease.release()
    with pytest.raises(Locked, match="released"):
        lease.assert_held()


def test_a_holder_that_cannot_beat_gives_up_by_itself(store, clock: HandClock, lease):
    """Without a heartbeat for its time to live others may take over, so it must not publish."""
    clock.elapsed += 59
    lease.assert_held()
    clock.elapsed += 1
    with pytest.raises(Locked, match="heartbeat could not be written for 60 s"):
        lease.assert_held()


def test_the_heartbeat_keeps_a_lease_past_its_time_to_live(store):
    """In real time: held for three times to live, and nobody gets in."""
    with take(store, SystemClock(), ttl=SHORT) as lease:
        with pytest.raises(Locked):
            take(store, SystemClock(), identity=ELSEWHERE, wait=3 * SHORT)
        lease.assert_held()
        assert decode_document(store.get(layout.beat_name("writer", 1)), Beat, name="").count > 5


def test_a_heartbeat_that_fails_is_told_when_it_matters(store, tmp_path: Path):
    """In real time: the store stops taking writes, and the lease says why it is lost."""
    lease = take(store, SystemClock(), ttl=SHORT)
    scratch = store.scratch()
    scratch.rmdir()
    scratch.write_bytes(b"")  # a plain file: no temporary file can be made any more, not even by root
    time.sleep(1.2 * SHORT)
    with pytest.raises(Locked, match="Could not write leases/writer"):
        lease.assert_held()
    with pytest.raises(StorageError):
        lease.release()


def fail_in_a_lease_that_cannot_be_released(store: LocalStore, clock: HandClock) -> None:
    """An error of the operation itself, and a store that takes no writes any more."""
    with take(store, clock):
        scratch = store.scratch()
        scratch.rmdir()
        scratch.write_bytes(b"")
        raise LookupError("mine")


def test_a_failing_release_does_not_hide_what_went_wrong(store, clock):
    """The first error is what the user sees, with a note about the lease."""
    with pytest.raises(LookupError, match="mine") as caught:
        fail_in_a_lease_that_cannot_be_released(store, clock)
    assert "runs out by itself" in caught.value.__notes__[0]


def test_an_error_inside_still_releases(store, clock):
    """The next one gets in at once."""
    with pytest.raises(LookupError), take(store, clock):
        raise LookupError
    take(store, clock).release()


def test_of_many_that_want_it_one_gets_it(store):
    """Eight processes at the same moment: one holds it, seven are refused."""
    program = HOLDER.replace("time.sleep(60)", "sys.stdin.readline()")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, store.address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=CHECKOUT,
        )
        for _ in range(8)
    ]
    held, refused = [], []
    for process in processes:
        assert process.stdout is not None
        (held if process.stdout.readline() else refused).append(process)
    errors = [process.communicate(input=b"\n", timeout=20)[1] for process in (*held, *refused)]
    assert (len(held), len(refused)) == (1, 7)
    assert all(b"Locked" in error for error in errors[1:])


class OvertakenStore(LocalStore):
    """A store where two others take and release the lease between this process's look and its grasp."""

    overtakers: Callable[[], None] | None = None

    def create(self, name: str, data: bytes) -> bool:
        overtakers, self.overtakers = self.overtakers, None
        if overtakers is not None:
            overtakers()
        return super().create(name, data)


def test_an_epoch_that_was_cleared_is_not_taken_again(store, clock):
    """Whoever comes too late finds its epoch free, because a later holder cleared it, and must go past that one."""

    def overtake() -> None:
        take(store, clock).release()
        take(store, clock).release()

    late = OvertakenStore(Path(store.address))
    late.overtakers = overtake
    with take(late, clock) as lease:
        assert lease.epoch == 3
        lease.assert_held()


def test_since_when_is_in_utc(store, clock: HandClock, lease):
    """The document says when the lease was taken, by the holder's wall clock."""
    document = decode_document(store.get(layout.lease_name("writer", 1)), LeaseDocument, name="")
    assert datetime.fromisoformat(document.at) == clock.started.astimezone(UTC)
    assert (document.epoch, document.ttl_seconds, document.identity) == (1, 60.0, own_identity())
