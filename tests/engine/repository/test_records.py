"""Records: written once, known by their name, and no matter of any backup."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from moi_backup.errors import MoiError
from moi_backup.repository import documents, layout
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.reachability import list_debris
from moi_backup.repository.records import read_record, record_ids, try_records, verify_records, write_record
from moi_backup.repository.repository import Repository
from moi_backup.storage.local import LocalStore

FIRST, SECOND = "20261124T203000Z-000001", "20261124T203001Z-000002"


class Happened(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a record of these tests says."""

    text: str
    format: int = 1


def written(repository: Repository, record: str, text: str = "done") -> Happened:
    """Write a record and return what it says."""
    write_record(repository, "restores", record, Happened(text))
    return Happened(text)


def test_records_are_read_as_they_were_written_and_listed_by_their_time(repository: Repository) -> None:
    """Whatever the order of writing, and each kind alone."""
    second, first = written(repository, SECOND, "2"), written(repository, FIRST, "1")
    assert list(record_ids(repository, "restores")) == [FIRST, SECOND]
    assert list(record_ids(repository, "drills")) == []
    assert dict(try_records(repository, "restores", Happened)) == {FIRST: first, SECOND: second}
    assert verify_records(repository) == []


def test_a_record_never_changes(repository: Repository) -> None:
    """Writing it again is no change, another one under its id is refused, and the first stays."""
    first = written(repository, FIRST)
    assert written(repository, FIRST) == first
    with pytest.raises(MoiError, match=f"{FIRST} exists and holds another record"):
        written(repository, FIRST, "another")
    assert read_record(repository, "restores", FIRST, Happened) == first


def test_a_record_that_is_missing_is_named(repository: Repository) -> None:
    """Reading says which, and an id that none can have is refused."""
    with pytest.raises(DamagedObject, match=f"records/restores/{FIRST}: is missing"):
        read_record(repository, "restores", FIRST, Happened)
    with pytest.raises(DamagedObject, match="no record can have this id"):
        read_record(repository, "restores", "../chain/1", Happened)


@pytest.mark.parametrize("place", ["restores", "drills"])
def test_a_record_in_another_place_is_damage(repository: Repository, store: LocalStore, place: str) -> None:
    """The bytes of one record under another id or kind are a fault of that name alone."""
    first = written(repository, FIRST)
    moved = f"records/{place}/{SECOND}"
    store.put(moved, store.get(layout.record_name("restores", FIRST)))
    assert [(fault.object, fault.kind, fault.backups) for fault in verify_records(repository)] == [
        (moved, "content", ())
    ]
    assert read_record(repository, "restores", FIRST, Happened) == first


def test_what_is_no_record_is_named(repository: Repository, store: LocalStore) -> None:
    """A name that no record has, half a record, and one that is no document."""
    names = ["records/restores/odd", layout.record_name("restores", FIRST), layout.record_name("restores", SECOND)]
    store.put(names[0], b"")
    store.put(names[1], documents.bound(b"{}", name=names[1])[:-1])
    store.put(names[2], documents.bound(b"no document", name=names[2]))
    assert [(fault.object, fault.kind) for fault in verify_records(repository)] == [
        (names[1], "content"),
        (names[2], "content"),
        (names[0], "inconsistent"),
    ]
    assert [
        record for record, found in try_records(repository, "restores", Happened) if isinstance(found, MoiError)
    ] == [
        FIRST,
        SECOND,
    ]


def test_a_medium_that_fails_is_a_fault_of_the_records(
    repository: Repository, store: LocalStore, tmp_path: Path
) -> None:
    """Where not even their names can be listed, that is told and not raised."""
    written(repository, FIRST)
    broken = tmp_path / "repository" / layout.record_name("restores", FIRST)
    broken.unlink()
    broken.symlink_to(broken.name)
    assert [(fault.object, fault.kind) for fault in verify_records(repository)] == [("records/", "unreadable")]


def test_no_clean_up_takes_a_record_for_debris(repository: Repository) -> None:
    """Nothing needs it and it is never called unreachable."""
    written(repository, FIRST)
    debris = list_debris(repository)
    assert (debris.unreachable, debris.unknown) == ((), ())
