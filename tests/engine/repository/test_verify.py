"""Structure verification: every planted fault is found by the name of its object, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from moi_backup.errors import UsageError
from moi_backup.model.backup import BackupManifest, SchemaDump
from moi_backup.model.table import ChunkDay, ChunkList, TableManifest
from moi_backup.repository import layout
from moi_backup.repository.leases import Lease
from moi_backup.repository.repository import Repository
from moi_backup.repository.verify import Fault, verify_structure
from tests.engine.repository.samples import (
    DAYS,
    ORDERS,
    SALES,
    publish,
    publish_backup,
    write_backup,
    write_chunk,
)

Damage = Callable[[Repository, str], None]
replace = msgspec.structs.replace


def remove(repository: Repository, name: str) -> None:
    """The object is gone."""
    repository.store.delete(name)


def truncate(repository: Repository, name: str) -> None:
    """The object lost its last byte."""
    repository.store.put(name, repository.store.get(name)[:-1])


def empty(repository: Repository, name: str) -> None:
    """The object lost all its bytes."""
    repository.store.put(name, b"")


def flip(repository: Repository, name: str) -> None:
    """One bit in the middle of the object changed."""
    data = bytearray(repository.store.get(name))
    data[len(data) // 2] ^= 1
    repository.store.put(name, bytes(data))


@pytest.fixture
def two(repository: Repository, lease: Lease) -> list[BackupManifest]:
    """Two backups: the second shares everything but has one more day of sales."""
    more = {SALES: (*DAYS, "2025-11-05"), ORDERS: DAYS[:1]}
    return [publish_backup(repository, 1, lease=lease), publish_backup(repository, 2, lease=lease, tables=more)]


def table_of(repository: Repository, manifest: BackupManifest, index: int = 0) -> TableManifest:
    """One of its table manifests."""
    return repository.read_table(manifest.tables[index].manifest)


def ids(two: list[BackupManifest]) -> tuple[str, ...]:
    """Their ids."""
    return tuple(manifest.id for manifest in two)


def only(faults: list[Fault]) -> Fault:
    """The single fault."""
    assert len(faults) == 1, faults
    return faults[0]


def test_a_whole_repository_has_no_fault(repository: Repository, two):
    """Nor has an empty one."""
    assert verify_structure(repository) == []
    assert verify_structure(repository, [two[0].id]) == []


def test_an_empty_repository_has_no_fault(repository: Repository):
    """There is nothing to be wrong."""
    assert verify_structure(repository) == []


def test_debris_is_no_fault(repository: Repository, two):
    """A backup that never got its chain entry is no backup."""
    write_backup(repository, 9)
    remove(repository, layout.backup_name(two[0].id).replace(two[0].id, "20261124T203009Z-000009"))
    assert verify_structure(repository) == []


@pytest.mark.parametrize("damage", [remove, truncate, empty, flip])
def test_a_damaged_backup_manifest_is_named(repository: Repository, two, damage: Damage):
    """It concerns that backup and all its tables."""
    damage(repository, layout.backup_name(two[0].id))
    fault = only(verify_structure(repository))
    assert (fault.object, fault.backups, fault.table) == (layout.backup_name(two[0].id), (two[0].id,), None)
    assert fault.kind == ("missing" if damage is remove else "content")


@pytest.mark.parametrize("damage", [remove, truncate, empty, flip])
def test_a_damaged_table_manifest_is_named(repository: Repository, two, damage: Damage):
    """With its table and every backup that shares it."""
    name = layout.table_name(two[0].tables[1].manifest)
    damage(repository, name)
    fault = only(verify_structure(repository))
    assert (fault.object, fault.backups, fault.table, fault.days) == (name, ids(two), str(ORDERS), ())


@pytest.mark.parametrize("damage", [remove, truncate, empty, flip])
def test_a_damaged_chunk_list_is_named(repository: Repository, two, damage: Damage):
    """With its table, its month, and every backup that shares it."""
    month = table_of(repository, two[1]).months[-1]
    damage(repository, layout.table_name(month.list))
    fault = only(verify_structure(repository))
    assert (fault.object, fault.backups) == (layout.table_name(month.list), (two[1].id,))
    assert (fault.table, fault.days) == (str(SALES), ("2025-11",))


@pytest.mark.parametrize(("damage", "kind"), [(remove, "missing"), (truncate, "size"), (empty, "size")])
def test_a_damaged_chunk_is_named(repository: Repository, two, damage: Damage, kind: str):
    """Once, with its table, its days, and every backup that shares it."""
    chunk = repository.read_chunk_list(table_of(repository, two[0]).months[0].list).chunks[1]
    name = layout.chunk_name(SALES, chunk)
    damage(repository, name)
    fault = only(verify_structure(repository))
    assert (fault.object, fault.kind, fault.backups) == (name, kind, ids(two))
    assert (fault.table, fault.days) == (str(SALES), ("2025-09-14",))


@pytest.mark.parametrize(("damage", "kind"), [(remove, "missing"), (truncate, "size")])
def test_a_damaged_schema_archive_is_named(repository: Repository, two, damage: Damage, kind: str):
    """Without it no backup restores into an empty database."""
    name = layout.file_name(two[0].schema.digest)
    damage(repository, name)
    fault = only(verify_structure(repository))
    assert (fault.object, fault.kind, fault.backups) == (name, kind, ids(two))


def test_a_missing_upload_is_named(repository: Repository, lease: Lease):
    """Every whole file of a backup is looked for."""
    stored = repository.write_file(b"day,rows\n")
    file = {"name": "upload.csv", "digest": stored.digest, "size": stored.size}
    publish_backup(repository, 1, lease=lease, files=(file,))
    assert verify_structure(repository) == []
    remove(repository, layout.file_name(stored.digest))
    assert only(verify_structure(repository)).object == layout.file_name(stored.digest)


def test_swapped_documents_are_named(repository: Repository, two):
    """Two valid documents under each other's names are two faults."""
    names = [layout.table_name(entry.manifest) for entry in two[0].tables]
    first, second = (repository.store.get(name) for name in names)
    repository.store.put(names[0], second)
    repository.store.put(names[1], first)
    assert {fault.object for fault in verify_structure(repository, [two[0].id])} == set(names)


def test_swapped_backup_manifests_are_named(repository: Repository, two):
    """A manifest under another backup's id does not pass."""
    names = [layout.backup_name(manifest.id) for manifest in two]
    first, second = (repository.store.get(name) for name in names)
    repository.store.put(names[0], second)
    repository.store.put(names[1], first)
    assert [fault.object for fault in verify_structure(repository)] == names


@pytest.mark.parametrize("damage", [remove, empty])
def test_a_damaged_chain_entry_is_named(repository: Repository, two, damage: Damage):
    """What is behind the other entries is verified all the same."""
    damage(repository, layout.chain_name(1))
    remove(repository, layout.file_name(two[1].schema.digest))
    faults = verify_structure(repository)
    assert layout.chain_name(1) in {fault.object for fault in faults}
    assert (two[1].id,) in {fault.backups for fault in faults}


def test_a_cut_chain_is_named(repository: Repository, two):
    """The entry that is missing from the end."""
    remove(repository, layout.chain_name(2))
    assert only(verify_structure(repository)).object == layout.chain_name(2)


@pytest.mark.parametrize(
    "change",
    [{"rows": 41}, {"digest": "0" * 64}, {"chunks": 5}, {"bytes": 1}, {"table": ORDERS}],
)
def test_a_backup_that_contradicts_its_table_is_named(repository: Repository, lease: Lease, change):
    """Rows, digest, chunks, bytes and the table itself must agree with the table manifest."""
    manifest = write_backup(repository, 1)
    wrong = replace(manifest.tables[0], **change)
    wrong_manifest = replace(manifest, id="20261124T203002Z-000002", tables=(wrong,))
    publish(repository, wrong_manifest, lease=lease)
    fault = only(verify_structure(repository))
    assert (fault.object, fault.kind) == (layout.backup_name(wrong_manifest.id), "inconsistent")
    assert next(iter(change)) in fault.detail


def publish_with_table(repository: Repository, lease: Lease, table: TableManifest, **entry) -> None:
    """A backup of one table whose manifest was tampered with before it was stored."""
    manifest = write_backup(repository, 3)
    changed = replace(manifest.tables[0], manifest=repository.write_table(table), **entry)
    publish(repository, replace(manifest, id="20261124T203002Z-000002", tables=(changed,)), lease=lease)


def test_a_table_whose_months_do_not_add_up_is_named(repository: Repository, lease: Lease):
    """The rows of the table are those of its months."""
    table = table_of(repository, write_backup(repository, 1))
    publish_with_table(repository, lease, replace(table, rows=31), rows=31)
    fault = only(verify_structure(repository))
    assert (fault.kind, fault.table) == ("inconsistent", str(SALES))
    assert "says 31 rows, its months hold 30" in fault.detail


@pytest.mark.parametrize(
    ("change", "fact"), [({"rows": 19}, "rows"), ({"size": 1}, "size"), ({"chunks": 3}, "chunks"), ({}, "month")]
)
def test_a_list_that_contradicts_its_table_is_named(repository: Repository, lease: Lease, change, fact: str):
    """Rows, size, chunks and the month must be what the table manifest says of the list."""
    table = table_of(repository, write_backup(repository, 1))
    month = replace(table.months[0], **(change or {"month": "2025-08"}))
    months = (month, *table.months[1:])
    sums = {
        "rows": sum(month.rows for month in months),
        "chunks": sum(month.chunks for month in months),
        "bytes": sum(month.size for month in months),
    }
    publish_with_table(repository, lease, replace(table, rows=sums["rows"], months=months), **sums)
    fault = only(verify_structure(repository))
    assert (fault.object, fault.kind) == (layout.table_name(month.list), "inconsistent")
    assert f"has {fact} " in fault.detail


def test_a_day_in_the_wrong_chunk_is_named(repository: Repository, lease: Lease):
    """A chunk holds the days of its span and nothing else."""
    chunk = write_chunk(repository, SALES, "2025-09-14")
    stray = replace(chunk, days=(ChunkDay("2025-09-15", 10, chunk.digest, ""),))
    table = table_of(repository, write_backup(repository, 1, tables={SALES: ("2025-09-14",)}))
    digest = repository.write_chunk_list(ChunkList("2025-09", (stray,), {}))
    tampered = replace(table, months=(replace(table.months[0], list=digest),))
    publish_with_table(repository, lease, tampered, rows=10, chunks=1, bytes=chunk.size, digest=table.digest)
    fault = only(verify_structure(repository))
    assert (fault.object, fault.kind) == (layout.table_name(digest), "inconsistent")
    assert "span 2025-09-14" in fault.detail


def test_a_chunk_in_the_wrong_month_is_named(repository: Repository, lease: Lease):
    """A chunk that is right by itself may still be listed under another month."""
    chunk = write_chunk(repository, SALES, "2025-10-02")
    table = table_of(repository, write_backup(repository, 1, tables={SALES: ("2025-09-14",)}))
    digest = repository.write_chunk_list(ChunkList("2025-09", (chunk,), {}))
    month = replace(table.months[0], list=digest, size=chunk.size)
    publish_with_table(
        repository, lease, replace(table, months=(month,)), rows=10, chunks=1, bytes=chunk.size, digest=table.digest
    )
    fault = only(verify_structure(repository))
    assert (fault.object, fault.kind) == (layout.table_name(digest), "inconsistent")
    assert "do not belong to 2025-09" in fault.detail


def test_a_digest_that_leads_outside_is_a_fault_and_no_crash(repository: Repository, lease: Lease):
    """A tampered manifest cannot make the verification read elsewhere."""
    evil = SchemaDump(digest="../../../etc/passwd", size=1, text="0" * 64, pg_dump="18.6")
    publish_backup(repository, 1, lease=lease, schema=evil)
    fault = only(verify_structure(repository))
    assert (fault.object, fault.kind) == ("files/../../../etc/passwd", "inconsistent")


def test_a_chunk_that_cannot_have_its_name_is_a_fault_and_no_crash(repository: Repository, lease: Lease):
    """A tampered chunk list cannot lead outside either."""
    table = table_of(repository, write_backup(repository, 1, tables={SALES: ("2025-09-14",)}))
    chunk = repository.read_chunk_list(table.months[0].list).chunks[0]
    digest = repository.write_chunk_list(ChunkList("2025-09", (replace(chunk, stored="../../x"),), {}))
    tampered = replace(table, months=(replace(table.months[0], list=digest),))
    publish_with_table(repository, lease, tampered, rows=10, chunks=1, bytes=chunk.size, digest=table.digest)
    fault = only(verify_structure(repository))
    assert (fault.kind, fault.table, fault.days) == ("inconsistent", str(SALES), ("2025-09-14",))


def test_a_month_listed_twice_is_named(repository: Repository, lease: Lease):
    """Its rows would be restored twice, however well the sums agree."""
    table = table_of(repository, write_backup(repository, 1))
    months = (table.months[0], *table.months)
    sums = {"rows": 50, "chunks": 5, "bytes": sum(month.size for month in months)}
    publish_with_table(repository, lease, replace(table, rows=50, months=months), **sums)
    fault = only(verify_structure(repository))
    assert (fault.kind, fault.detail) == ("inconsistent", "lists a month twice")


def test_what_the_disk_will_not_read_is_named(repository: Repository, two):
    """A failing medium is a fault of that object, and the rest is verified all the same."""
    name = layout.table_name(two[0].tables[0].manifest)
    path = Path(repository.store.address) / name
    path.unlink()
    path.symlink_to(path)  # reading it fails, and it is not missing
    remove(repository, layout.file_name(two[0].schema.digest))
    kinds = {fault.object: fault.kind for fault in verify_structure(repository, [two[0].id])}
    assert kinds == {name: "unreadable", layout.file_name(two[0].schema.digest): "missing"}


def test_only_the_selected_backups_are_verified(repository: Repository, two):
    """Damage to the other one is not reported; an id that is not listed is refused."""
    remove(repository, layout.backup_name(two[1].id))
    assert verify_structure(repository, [two[0].id]) == []
    with pytest.raises(UsageError, match="20260101T000000Z-000000"):
        verify_structure(repository, ["20260101T000000Z-000000"])
