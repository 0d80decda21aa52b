"""What backups reach, and that nothing they need is ever called debris."""

from __future__ import annotations

import msgspec
import pytest

from moi_backup.errors import Damaged
from moi_backup.repository import layout
from moi_backup.repository.chain import append
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.leases import Lease
from moi_backup.repository.reachability import list_debris, reachable_chunks
from moi_backup.repository.repository import Repository
from tests.engine.repository.samples import AT, DAYS, ORDERS, SALES, publish_backup, write_backup

MORE = {SALES: (*DAYS, "2025-11-05")}


def test_every_chunk_comes_once_with_all_its_backups(repository: Repository, lease: Lease):
    """Shared chunks name both backups, in the order of object names."""
    one = publish_backup(repository, 1, lease=lease)
    two = publish_backup(repository, 2, lease=lease, tables=MORE)
    found = list(reachable_chunks(repository, [one, two]))
    assert [(reached.table, reached.chunk.span, reached.backups) for reached in found] == [
        (ORDERS, "2025-09-01", (one.id,)),
        (SALES, "2025-09-01", (one.id, two.id)),
        (SALES, "2025-09-14", (one.id, two.id)),
        (SALES, "2025-10-02", (one.id, two.id)),
        (SALES, "2025-11-05", (two.id,)),
    ]
    assert all(reached.manifest.table == reached.table for reached in found)
    for reached in found:
        with repository.open_chunk(reached.table, reached.chunk):
            pass


def test_a_lost_document_stops_the_walk_unless_it_is_noted(repository: Repository, lease: Lease):
    """Nothing is left out silently."""
    backup = publish_backup(repository, 1, lease=lease)
    repository.store.delete(layout.table_name(backup.tables[0].manifest))
    with pytest.raises(DamagedObject, match=backup.tables[0].manifest):
        list(reachable_chunks(repository, [backup]))
    noted: list[Damaged] = []
    found = list(reachable_chunks(repository, [backup], on_damage=noted.append))
    assert [reached.table for reached in found] == [ORDERS]
    assert len(noted) == 1


def test_what_backups_need_is_never_debris(repository: Repository, lease: Lease):
    """Published backups and all they share, also while a part of it is missing."""
    one = publish_backup(repository, 1, lease=lease)
    publish_backup(repository, 2, lease=lease, tables=MORE)
    assert list_debris(repository).unreachable == ()
    repository.store.delete(layout.file_name(one.schema.digest))
    assert list_debris(repository).unreachable == ()


def test_an_unpublished_backup_is_debris(repository: Repository, lease: Lease):
    """What a killed backup wrote is listed, but nothing that it shares with a published one."""
    publish_backup(repository, 1, lease=lease)
    before = {
        info.name for prefix in ("chunks/", "tables/", "files/", "backups/") for info in repository.store.list(prefix)
    }
    write_backup(repository, 2, tables=MORE)
    (repository.store.scratch() / "half-written").write_bytes(b"1234")
    debris = list_debris(repository)
    after = {
        info.name for prefix in ("chunks/", "tables/", "files/", "backups/") for info in repository.store.list(prefix)
    }
    assert {info.name for info in debris.unreachable} == after - before
    assert [(info.name, info.size) for info in debris.temporary] == [("half-written", 4)]
    assert debris.unknown == ()


def test_expired_backups_keep_what_is_theirs_until_they_are_pruned(repository: Repository, lease: Lease):
    """Undelete must find everything; the manifest may lie in the trash already."""
    one = publish_backup(repository, 1, lease=lease)
    publish_backup(repository, 2, lease=lease, tables={ORDERS: DAYS[:1]})
    append(repository, action="expire", backup=one.id, at=AT, lease=lease)
    assert list_debris(repository).unreachable == ()
    name = layout.backup_name(one.id)
    repository.store.put(layout.trash_name(one.id), repository.store.get(name))
    repository.store.delete(name)
    debris = list_debris(repository)
    assert (debris.unreachable, debris.unknown) == ((), ())
    append(repository, action="prune", backup=one.id, at=AT, lease=lease)
    unreachable = {info.name for info in list_debris(repository).unreachable}
    assert layout.table_name(one.tables[0].manifest) in unreachable
    assert layout.table_name(one.tables[1].manifest) not in unreachable


@pytest.mark.parametrize("lost", ["manifest", "table", "list"])
def test_nothing_is_called_debris_while_a_document_cannot_be_read(repository: Repository, lease: Lease, lost: str):
    """What an unreadable document lists is not known, so nothing may be called unreachable."""
    one = publish_backup(repository, 1, lease=lease)
    write_backup(repository, 2, tables=MORE)
    names = {
        "manifest": layout.backup_name(one.id),
        "table": layout.table_name(one.tables[0].manifest),
        "list": layout.table_name(repository.read_table(one.tables[0].manifest).months[0].list),
    }
    repository.store.put(names[lost], b"")
    debris = list_debris(repository)
    assert debris.unreachable == ()
    assert names[lost] in debris.unknown[0]


def test_a_damaged_chain_says_nothing_about_debris(repository: Repository, lease: Lease):
    """Without the history nothing can be told apart."""
    publish_backup(repository, 1, lease=lease)
    repository.store.put(layout.chain_name(1), msgspec.json.encode({}))
    with pytest.raises(DamagedObject, match="chain/0000000001"):
        list_debris(repository)
