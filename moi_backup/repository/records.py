"""Records: what was done besides backups (restores, drills), one small document each, written once and never changed.

They lie at `records/<kind>/<id>`. No backup needs them and no clean-up of backups touches them. A record begins with
the hash of its name and its document, so damage and another name are seen also where nothing is encrypted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal, TypeVar

import msgspec

from moi_backup.errors import Damaged, MoiError, StorageError
from moi_backup.repository import documents, layout
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.reading import Unreadable
from moi_backup.repository.repository import Repository
from moi_backup.repository.sealing import seal
from moi_backup.repository.verify import Fault
from moi_backup.storage.at_once import in_order
from moi_backup.storage.store import ObjectMissing

RecordKind = Literal["restores", "drills"]
Result = TypeVar("Result")


class _AnyRecord(msgspec.Struct, frozen=True):
    """What every record says."""

    format: int = documents.FORMAT


def write_record(repository: Repository, kind: RecordKind, record: str, document: msgspec.Struct) -> None:
    """Store a record and read it back; raises MoiError when another one has its id.

    Killed at any moment there is the whole record or none; writing the same one again changes nothing.
    """
    name = layout.record_name(kind, record)
    content = documents.bound(documents.encode_document(document), name=name)
    repository.store.create(name, seal(content, name=name, ring=repository.ring))
    if repository.unsealed(repository.store.get(name), name=name) != content:
        raise MoiError(
            f"{name} exists and holds another record.",
            meaning="Two operations chose the same id; the older record was left as it was.",
            remedy="Run the operation again; it chooses a new id.",
        )


def read_record(
    repository: Repository, kind: RecordKind, record: str, document: type[documents.Document]
) -> documents.Document:
    """One record; raises DamagedObject when it is missing or no such document."""
    return _read(repository, layout.record_name(kind, record), document)


def try_records(
    repository: Repository, kind: RecordKind, document: type[documents.Document]
) -> Iterator[tuple[str, documents.Document | Unreadable]]:
    """Each record of a kind (its id) with what it holds, or with what keeps it from being read, oldest first."""
    ids = list(record_ids(repository, kind))
    read = partial(_try, lambda record: read_record(repository, kind, record, document))
    yield from zip(ids, in_order(read, ids, threads=repository.store.requests_at_once), strict=True)


def record_ids(repository: Repository, kind: RecordKind) -> Iterator[str]:
    """The ids of all records of a kind, oldest first (ids begin with their time); other names are no records."""
    prefix = layout.record_folder(kind)
    found = (info.name.removeprefix(prefix) for info in repository.store.list(prefix))
    yield from sorted(record for record in found if layout.is_backup_id(record))


def verify_records(repository: Repository) -> list[Fault]:
    """The faults of all records, in the order of their names. They touch no backup."""
    try:
        names = sorted(info.name for info in repository.store.list(layout.RECORDS))
    except StorageError as error:
        return [Fault(layout.RECORDS, "unreadable", error.what)]
    read = partial(_try, lambda name: _verified(repository, name))
    found = zip(names, in_order(read, names, threads=repository.store.requests_at_once), strict=True)
    return [_fault(name, error) for name, error in found if error is not None]


def _verified(repository: Repository, name: str) -> None:
    if not layout.is_record_name(name):
        raise DamagedObject(name, "inconsistent", "is no record: none can have this name")
    _read(repository, name, _AnyRecord)


def _read(repository: Repository, name: str, document: type[documents.Document]) -> documents.Document:
    try:
        stored = repository.store.get(name)
    except ObjectMissing as error:
        raise DamagedObject(name, "missing", "is missing") from error
    content = documents.unbound(repository.unsealed(stored, name=name), name=name)
    return documents.decode_document(content, document, name=name)


def _try(read: Callable[[str], Result], item: str) -> Result | Unreadable:
    try:
        return read(item)
    except (Damaged, StorageError) as error:
        return error


def _fault(name: str, error: Unreadable) -> Fault:
    if isinstance(error, DamagedObject):
        return Fault(error.object_name, error.kind, error.detail)
    return Fault(name, "unreadable", error.what)
