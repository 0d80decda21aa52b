"""Records: what was done besides backups (restores, drills), one small document each, written once and never changed.

They lie at `records/<kind>/<id>`. No backup needs them and no clean-up of backups touches them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from moi_backup.errors import MoiError
from moi_backup.repository import documents, layout
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.repository import Repository
from moi_backup.repository.sealing import seal
from moi_backup.storage.store import ObjectMissing

RecordKind = Literal["restores", "drills"]


def write_record(repository: Repository, kind: RecordKind, record: str, document: msgspec.Struct) -> None:
    """Store a record and read it back; raises MoiError when another one has its id."""
    name = layout.record_name(kind, record)
    content = documents.encode_document(document)
    repository.store.create(name, seal(content, name=name, ring=repository.ring))
    if repository.unsealed(repository.store.get(name), name=name) != content:
        raise MoiError(
            f"{name} exists and holds another record.",
            meaning="Two operations chose the same id; the older record was left as it is.",
            remedy="Run the operation again; it chooses a new id.",
        )


def read_record(
    repository: Repository, kind: RecordKind, record: str, document: type[documents.Document]
) -> documents.Document:
    """One record; raises DamagedObject when it is missing or no such document."""
    name = layout.record_name(kind, record)
    try:
        stored = repository.store.get(name)
    except ObjectMissing as error:
        raise DamagedObject(name, "missing", "is missing") from error
    return documents.decode_document(repository.unsealed(stored, name=name), document, name=name)


def record_ids(repository: Repository, kind: RecordKind) -> Iterator[str]:
    """The ids of all records of a kind, oldest first (ids begin with their time)."""
    prefix = layout.record_folder(kind)
    yield from sorted(info.name.removeprefix(prefix) for info in repository.store.list(prefix))
