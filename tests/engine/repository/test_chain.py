"""The chain: dense, lossless between writers, and a cut or replaced entry is noticed."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

import moi_backup
from moi_backup.errors import Locked, NoRepository, StorageError, UsageError
from moi_backup.model.backup import ChainEntry
from moi_backup.repository import layout
from moi_backup.repository.chain import Chain, append, manifest_hashes, published, read_chain, scan_chain, states
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.documents import RepositoryDocument, digest_of, encode_document
from moi_backup.repository.heads import NOTHING_BEFORE, Head, head_file, keep_head, seen_head
from moi_backup.repository.leases import Lease
from moi_backup.repository.repository import Repository, open_repository
from moi_backup.storage.local import LocalStore
from tests.engine.repository.samples import AT, backup_id
from tests.engine.storage.faults import AlteredRead, FaultyStore

CHECKOUT = Path(moi_backup.__file__).parents[1]
MANIFEST = "1" * 64
EACH = 15

APPENDER = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from moi_backup.repository.chain import append
from moi_backup.repository.clock import SystemClock
from moi_backup.repository.identity import own_identity
from moi_backup.repository.leases import acquire
from moi_backup.repository.repository import open_repository
from moi_backup.storage.local import LocalStore
root, heads, who, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
store = LocalStore(Path(root))
repository = open_repository(store, heads=Path(heads))
with acquire(store, f"w{who}", operation="race", wait=0, clock=SystemClock(), identity=own_identity()) as lease:
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(count):
        backup = f"20261124T203000Z-{who:02x}{number:04x}"
        append(repository, action="publish", backup=backup, at=datetime.now(UTC), lease=lease, manifest="1" * 64)
"""


@pytest.fixture
def add(repository: Repository, lease: Lease) -> Callable[..., ChainEntry]:
    """Append an entry for backup `number`."""

    def add(number: int, action: str = "publish") -> ChainEntry:
        return append(repository, action=action, backup=backup_id(number), at=AT, lease=lease, manifest=MANIFEST)

    return add


def test_writers_that_race_lose_nothing(repository: Repository, store):
    """Three processes append at once: every entry is there, dense, each linked to the one before."""
    arguments = [store.address, repository.heads]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", APPENDER, *arguments, str(who), str(EACH)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=CHECKOUT,
        )
        for who in range(3)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    assert [(writer.communicate(timeout=60), writer.returncode)[1] for writer in writers] == [0, 0, 0]
    chain = read_chain(repository)
    assert [entry.seq for entry in chain.entries] == list(range(1, 3 * EACH + 1))
    assert set(published(chain)) == {
        f"20261124T203000Z-{who:02x}{number:04x}" for who in range(3) for number in range(EACH)
    }


def test_an_entry_is_what_the_specification_says(repository: Repository, lease: Lease, add):
    """Eight fields; the first follows the hash of repository.json, the second that of the first."""
    add(1)
    add(2)
    first, second = (repository.store.get(layout.chain_name(seq)) for seq in (1, 2))
    assert json.loads(first) == {
        "action": "publish",
        "at": "2026-11-24T20:30:00.000000+00:00",
        "backup": backup_id(1),
        "format": 1,
        "lease_epoch": lease.epoch,
        "manifest": MANIFEST,
        "previous": digest_of(repository.store.get(layout.REPOSITORY)),
        "seq": 1,
    }
    assert json.loads(second)["previous"] == digest_of(first)


def test_the_last_action_is_the_state_of_a_backup(repository: Repository, add):
    """Expired backups are not listed, undeleted ones are again in their old place, pruned ones are gone."""
    for number in (1, 2, 3, 4):
        add(number)
    for number, action in ((1, "expire"), (2, "expire"), (1, "undelete"), (3, "expire"), (3, "prune")):
        add(number, action)
    chain = read_chain(repository)
    assert published(chain) == [backup_id(1), backup_id(4)]
    assert states(chain)[backup_id(2)] == "expire"
    assert states(chain)[backup_id(3)] == "prune"
    assert {entry.manifest for entry in chain.entries} == {MANIFEST}


def test_the_hashes_of_all_manifests_are_gathered_once(repository: Repository, add):
    """Every manifest that is read asks for its hash; searching the chain each time made long histories quadratic."""
    add(1)
    add(2)
    chain = read_chain(repository)
    assert manifest_hashes(chain) == {backup_id(1): MANIFEST, backup_id(2): MANIFEST}
    assert manifest_hashes(chain) is manifest_hashes(chain)


@pytest.mark.parametrize(
    ("before", "action"),
    [
        (["publish"], "publish"),
        ([], "expire"),
        (["publish", "expire"], "expire"),
        (["publish"], "undelete"),
        (["publish"], "prune"),
        (["publish", "expire", "prune"], "undelete"),
    ],
)
def test_an_action_that_does_not_fit_the_state_is_refused(repository: Repository, add, before, action):
    """Nothing is appended that a reader could not make sense of."""
    for step in before:
        add(1, step)
    with pytest.raises(UsageError, match=backup_id(1)):
        add(1, action)
    assert len(read_chain(repository).entries) == len(before)


def test_a_cut_tail_is_noticed_through_the_head(repository: Repository, add):
    """A chain without its last entries looks whole from inside, but not to who has seen them."""
    for number in (1, 2, 3):
        add(number)
    repository.store.delete(layout.chain_name(3))
    repository.store.delete(layout.chain_name(2))
    with pytest.raises(DamagedObject, match=r"chain/0000000003: .*cut off"):
        read_chain(repository)
    elsewhere = open_repository(repository.store, heads=repository.heads.parent / "other")
    assert len(read_chain(elsewhere).entries) == 1


def test_a_history_that_vanished_whole_is_noticed(repository: Repository, add):
    """An emptied chain is damage too, not a new repository."""
    add(1)
    repository.store.delete(layout.chain_name(1))
    with pytest.raises(DamagedObject, match="cut off"):
        read_chain(repository)


def test_a_replaced_last_entry_is_noticed_through_the_head(repository: Repository, add):
    """No later entry vouches for the last one; the head does."""
    add(1)
    last = add(2)
    forged = encode_document(msgspec.structs.replace(last, manifest="2" * 64))
    repository.store.put(layout.chain_name(2), forged)
    with pytest.raises(DamagedObject, match=r"chain/0000000002: .*replaced"):
        read_chain(repository)


def altered_digit(data: bytes) -> bytes:
    """The same entry with another manifest: it is a document still."""
    return data.replace(MANIFEST.encode(), MANIFEST[1:].encode() + b"2")


def test_a_last_entry_that_was_misread_once_is_not_remembered(repository: Repository, add, tmp_path: Path):
    """By a host that never saw it: it refuses once, and afterwards reads what is there."""
    add(1)
    store = FaultyStore(repository.store, AlteredRead(2, altered_digit))  # repository.json comes first
    stranger = replace(repository, store=store, heads=tmp_path / "elsewhere")
    with pytest.raises(DamagedObject, match=r"chain/0000000001.*a moment ago"):
        read_chain(stranger)
    assert read_chain(stranger).head == read_chain(repository).head


def test_an_operation_reads_again_only_what_followed(repository: Repository, add, monkeypatch):
    """The head it saw and what came after it; the result is the whole history."""
    add(1)
    add(2)
    before = read_chain(repository)
    add(3)
    asked: list[str] = []
    get = repository.store.get
    monkeypatch.setattr(type(repository.store), "get", lambda _, name: (asked.append(name), get(name))[1])
    again = read_chain(repository, after=before)
    assert asked == [layout.REPOSITORY, layout.chain_name(2), layout.chain_name(3), layout.chain_name(4)]
    monkeypatch.undo()
    assert again == read_chain(repository)
    nothing = Head(0, digest_of(repository.store.get(layout.REPOSITORY)))
    assert read_chain(repository, after=Chain((), nothing)) == again


@pytest.mark.parametrize("data", [None, b"rubbish", "forged"])
def test_a_head_that_changed_within_an_operation_is_noticed(repository: Repository, add, tmp_path: Path, data):
    """An operation does not build on a history whose end was taken away or replaced since it began."""
    add(1)
    last = add(2)
    fresh = open_repository(repository.store, heads=tmp_path / "never")
    before = read_chain(fresh)
    shutil.rmtree(fresh.heads)
    name = layout.chain_name(2)
    if data is None:
        repository.store.delete(name)
    else:
        forged = encode_document(msgspec.structs.replace(last, manifest="2" * 64))
        repository.store.put(name, forged if data == "forged" else data)
    with pytest.raises(DamagedObject, match=name):
        read_chain(fresh, after=before)


def test_a_replaced_earlier_entry_is_noticed_by_the_next(repository: Repository, add, tmp_path: Path):
    """Also by a reader who never saw the chain before."""
    first = add(1)
    add(2)
    add(3)
    repository.store.put(layout.chain_name(1), encode_document(msgspec.structs.replace(first, manifest="2" * 64)))
    with pytest.raises(DamagedObject, match="chain/0000000001"):
        read_chain(open_repository(repository.store, heads=tmp_path / "never"))


@pytest.mark.parametrize(
    ("seq", "data"),
    [(2, None), (1, None), (2, b""), (2, b"{}"), (3, b"rubbish")],
)
def test_a_missing_or_rotten_entry_is_named(repository: Repository, add, tmp_path: Path, seq, data):
    """A gap and an unreadable entry are damage for everybody; verification still sees the others."""
    for number in (1, 2, 3, 4):
        add(number)
    name = layout.chain_name(seq)
    repository.store.delete(name) if data is None else repository.store.put(name, data)
    fresh = open_repository(repository.store, heads=tmp_path / "never")
    with pytest.raises(DamagedObject, match=name):
        read_chain(fresh)
    scan = scan_chain(fresh)
    assert [entry.seq for entry in scan.entries] == [other for other in (1, 2, 3, 4) if other != seq]
    assert name in {damage.object_name for damage in scan.damage}


def test_an_entry_that_was_changed_accuses_no_other(repository: Repository, add):
    """What it says of the entry before it is not heard, and it is named once."""
    add(1)
    second = add(2)
    add(3)
    repository.store.put(layout.chain_name(2), encode_document(msgspec.structs.replace(second, previous="2" * 64)))
    scan = scan_chain(repository)
    assert [damage.object_name for damage in scan.damage] == [layout.chain_name(2)]
    assert [entry.seq for entry in scan.entries] == [1, 3]


@pytest.mark.parametrize("data", [b'{"format":2}', b'{"later":1}'])
def test_an_entry_that_only_looks_newer_is_damage(repository: Repository, add, data: bytes):
    """The next entry bears witness that something else was written; without a witness a newer version is believed."""
    add(1)
    add(2)
    repository.store.put(layout.chain_name(1), data)
    assert [damage.object_name for damage in scan_chain(repository).damage] == [layout.chain_name(1)]
    repository.store.create(layout.chain_name(3), data)
    with pytest.raises(NoRepository, match=r"chain/0000000003 (has format 2|holds)"):
        scan_chain(repository)


@pytest.mark.parametrize("change", [{"created_at": "2026-01-01T00:00:00.000000+00:00"}, {"id": "ab" * 16}])
def test_a_changed_identity_is_noticed_by_the_first_entry(repository: Repository, add, change):
    """The chain begins with the hash of repository.json, so it belongs to that one and no other."""
    add(1)
    document = RepositoryDocument(**{"created_at": "2026-11-24T20:30:00.000000+00:00", "id": repository.id} | change)
    repository.store.put(layout.REPOSITORY, encode_document(document))
    with pytest.raises(DamagedObject, match=layout.REPOSITORY):
        read_chain(open_repository(repository.store, heads=repository.heads))


def test_a_chain_that_begins_with_zeros_is_read(repository: Repository, add):
    """Repositories made before the first entry named repository.json stay readable."""
    first = encode_document(msgspec.structs.replace(add(1), previous=NOTHING_BEFORE))
    repository.store.put(layout.chain_name(1), first)
    older = open_repository(repository.store, heads=repository.heads.parent / "other")
    assert len(read_chain(older).entries) == 1


def test_an_entry_in_the_wrong_place_is_damage(repository: Repository, add, tmp_path: Path):
    """A copy of an older entry does not pass for a new one."""
    add(1)
    add(2)
    repository.store.put(layout.chain_name(3), repository.store.get(layout.chain_name(2)))
    with pytest.raises(DamagedObject, match="chain/0000000003"):
        read_chain(open_repository(repository.store, heads=tmp_path / "never"))


def test_a_lost_lease_appends_nothing(repository: Repository, add, store):
    """Whoever was taken over cannot publish any more."""
    add(1)
    store.create(layout.lease_name("writer", 2), b"{}")
    with pytest.raises(Locked, match="taken it over"):
        add(2)
    assert len(read_chain(repository).entries) == 1


def test_the_head_is_kept_outside_the_repository(repository: Repository, add):
    """Number and hash of the last entry, in a file named by the repository's id and place, with nothing beside it."""
    add(1)
    add(2)
    file = head_file(repository.heads, repository=repository.id, address=repository.store.address)
    kept = json.loads(file.read_bytes())
    assert kept == {"format": 1, "hash": digest_of(repository.store.get(layout.chain_name(2))), "seq": 2}
    assert [path.name for path in repository.heads.iterdir()] == [file.name]


def test_each_place_has_a_head_of_its_own(repository: Repository, add, tmp_path: Path):
    """A copy that lags behind is not cut off; the same place cut off is."""
    add(1)
    copy = tmp_path / "copy"
    shutil.copytree(repository.store.address, copy)
    add(2)
    assert read_chain(open_repository(LocalStore(copy), heads=repository.heads)).head.seq == 1
    repository.store.delete(layout.chain_name(2))
    with pytest.raises(DamagedObject, match="cut off"):
        read_chain(repository)


def test_a_head_kept_before_places_had_their_own_is_honoured(repository: Repository, add):
    """What an earlier version remembered still tells a cut chain."""
    add(1)
    add(2)
    file = head_file(repository.heads, repository=repository.id, address=repository.store.address)
    file.rename(repository.heads / f"{repository.id}.json")
    assert read_chain(repository).head.seq == 2
    repository.store.delete(layout.chain_name(2))
    with pytest.raises(DamagedObject, match="cut off"):
        read_chain(repository)


def test_the_head_never_goes_back(tmp_path: Path):
    """A reader that saw less than another process does not make the state folder forget."""
    file = tmp_path / "heads" / "id.json"
    for seq in (5, 3):
        assert keep_head(file, Head(seq, "0" * 64)) == ""
        assert seen_head(file).seq == 5


def test_a_rotten_head_file_is_named(repository: Repository, add):
    """It is not taken for "never seen"; the error says which file to remove."""
    add(1)
    file = head_file(repository.heads, repository=repository.id, address=repository.store.address)
    file.write_bytes(b"")
    with pytest.raises(DamagedObject, match=file.name) as caught:
        read_chain(repository)
    assert f"remove {file}" in caught.value.remedy


@pytest.fixture
def no_room() -> Generator[None]:
    """The system refuses every byte written to a file."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_head_that_cannot_be_kept_does_not_stop_a_reader(repository: Repository, add, tmp_path: Path, request):
    """With a full state folder everything is still read, and the chain says why its head was not remembered."""
    add(1)
    fresh = open_repository(repository.store, heads=tmp_path / "full" / "heads")
    request.getfixturevalue("no_room")
    chain = read_chain(fresh)
    assert published(chain) == [backup_id(1)]
    assert str(fresh.heads) in chain.unkept
    assert list(fresh.heads.iterdir()) == []


def test_a_head_that_cannot_be_read_is_an_error(repository: Repository, add, tmp_path: Path):
    """It is not taken for "never seen", which would let a cut chain pass."""
    add(1)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError) as caught:
        read_chain(open_repository(repository.store, heads=tmp_path / "file" / "heads"))
    assert str(tmp_path / "file") in caught.value.what
    assert "MOI_STATE" in caught.value.remedy


def test_an_empty_repository_has_an_empty_chain(repository: Repository):
    """No entry, no head, no damage."""
    chain = read_chain(repository)
    assert (chain.entries, chain.head.seq, chain.unkept) == ((), 0, "")
