"""A repository as it is copied: its identity and history read once, understood where its keys are here."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from moi_backup.errors import NoRepository, WrongKey
from moi_backup.operations.workspace import Workspace
from moi_backup.repository import documents, layout
from moi_backup.repository.chain import Chain, read_chain, stored_entries
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.name_checks import NameChecks, manifest_names
from moi_backup.repository.repository import Repository
from moi_backup.storage.store import ObjectMissing, Store


@dataclass(frozen=True, slots=True)
class CopySource:
    """`entries` are the stored bytes of the chain. Without its keys an encrypted repository is not `opened`."""

    store: Store
    id: str
    document: bytes
    entries: tuple[bytes, ...]
    encrypted: bool
    opened: tuple[Repository, Chain] | None

    @property
    def checks(self) -> NameChecks:
        """What can be said of its objects by their names."""
        manifests = manifest_names(self.opened[1]) if self.opened else {}
        return NameChecks(manifests, self.encrypted, self._unseal if self.opened else None)

    def _unseal(self, name: str, data: bytes) -> bytes:
        return self.opened[0].unsealed(data, name=name) if self.opened else data


def read_source(workspace: Workspace) -> CopySource:
    """The configured repository as it stands now; raises NoRepository, and Damaged for a damaged history."""
    store = workspace.store()
    data, document = read_identity(store)
    try:
        repository = workspace.open_at(store)
        opened = repository, read_chain(repository)
    except WrongKey:
        opened = None
    entries = _entries(store)
    if opened is not None:  # what was published since the history was checked is copied the next time
        entries = entries[: opened[1].head.seq]
    return CopySource(store, document.id, data, entries, document.encryption is not msgspec.UNSET, opened)


def read_identity(store: Store) -> tuple[bytes, documents.RepositoryDocument]:
    """The bytes of `repository.json` and what they say; raises NoRepository where there is none."""
    try:
        data = store.get(layout.REPOSITORY)
    except ObjectMissing as error:
        raise NoRepository(
            f"There is no repository at {store.address}.",
            meaning="The place is empty, not mounted, or another one is meant.",
            remedy="Make one with moi-backup init, or set MOI_REPOSITORY to where it is.",
        ) from error
    return data, documents.decode_document(data, documents.RepositoryDocument, name=layout.REPOSITORY)


def _entries(store: Store) -> tuple[bytes, ...]:
    found: list[bytes] = []
    for seq, data in stored_entries(store):
        if data is None:
            raise DamagedObject(layout.chain_name(seq), "missing", "is missing from the chain")
        found.append(data)
    return tuple(found)
