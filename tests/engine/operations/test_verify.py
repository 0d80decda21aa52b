"""Verification finds every damage, names what it touches, and calls nothing damaged that is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from moi_backup.errors import UsageError
from moi_backup.lake.digest import chunk_digest
from moi_backup.model.table import Chunk, TableManifest, TableName
from moi_backup.operations.read_data import contradictions
from moi_backup.operations.stored_table import open_table
from moi_backup.operations.verify import Subset, parse_subset, verify
from moi_backup.repository.layout import chunk_name
from moi_backup.repository.marks import damaged_chunks, mark_damaged
from tests.engine.deployment import Deployment
from tests.engine.shop import SHOP

META = TableName("public", "meta_import_data")
ODD = TableName("public", "Odd.Names")


@pytest.fixture
def shop(deployment: Deployment) -> Deployment:
    """A small shop with one full backup."""
    deployment.sql(SHOP)
    deployment.back_up(full=True)
    return deployment


def chunks(shop: Deployment, table: TableName = META) -> list[Chunk]:
    """The chunks of a table in the newest backup."""
    return open_table(shop.workspace.open(), shop.backups()[-1], table).chunks()


def file_of(shop: Deployment, chunk: Chunk, table: TableName = META) -> Path:
    """Where a chunk lies."""
    return shop.folder / "repository" / chunk_name(table, chunk)


def days_of(chunk: Chunk) -> tuple[str, ...]:
    """The days of a chunk."""
    return tuple(dict.fromkeys(day.day for day in chunk.days))


def flip(first: Path, _: Path) -> None:
    """Turn one bit in the middle."""
    data = bytearray(first.read_bytes())
    data[len(data) // 2] ^= 1
    first.write_bytes(data)


def truncate(first: Path, _: Path) -> None:
    """Cut the last byte off."""
    first.write_bytes(first.read_bytes()[:-1])


def delete(first: Path, _: Path) -> None:
    """Remove it."""
    first.unlink()


def swap(first: Path, second: Path) -> None:
    """Exchange two objects."""
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)


def test_a_whole_repository_gets_a_clean_bill_with_what_was_read(shop: Deployment):
    """Every row is decoded, and nothing is called damaged, incomplete or debris."""
    found = verify(shop.workspace, read_data=True)
    assert (found.exit_code, found.faults, found.notes) == (0, (), ())
    assert found.data is not None
    assert found.data.rows == found.rows == 2003
    assert found.data.objects == sum(entry.chunks for entry in shop.backups()[0].tables) + 1  # the schema archive
    assert all(verdict.passed for verdict in found.verdicts)
    tables = {"public.meta_import_data", 'public."Odd.Names"', "public.nothing_yet"}
    assert {verdict.table for verdict in found.verdicts} == tables
    assert found.debris is not None
    assert (found.debris.objects, found.debris.temporary) == (0, 0)


@pytest.mark.parametrize("damage", [flip, truncate, delete, swap])
def test_a_damaged_chunk_is_named_with_its_backups_table_and_days(
    shop: Deployment, damage: Callable[[Path, Path], None]
):
    """Whatever was done to its file, the fault says what it touches, for every backup that shares it."""
    shop.back_up(full=False)
    first, second = chunks(shop)[:2]
    damage(file_of(shop, first), file_of(shop, second))
    found = verify(shop.workspace, read_data=True)
    assert found.exit_code == 20
    faults = {fault.object: fault for fault in found.faults}
    expected = [first, second] if damage is swap else [first]
    assert set(faults) == {chunk_name(META, chunk) for chunk in expected}
    for chunk in expected:
        fault = faults[chunk_name(META, chunk)]
        assert fault.table == "public.meta_import_data"
        assert fault.days == days_of(chunk)
        assert set(fault.backups) == {backup.id for backup in shop.backups()}


def test_a_backup_that_does_not_need_the_damaged_chunk_is_whole(shop: Deployment):
    """Damage is charged to those backups alone that need the object."""
    damaged = chunks(shop)[0]
    shop.sql("DELETE FROM meta_import_data")
    newer = shop.back_up(full=True).manifest
    flip(file_of(shop, damaged), Path())
    assert verify(shop.workspace, backup=newer.id, read_data=True).exit_code == 0
    assert verify(shop.workspace, read_data=True).faults[0].backups == (shop.backups()[0].id,)


def test_structure_alone_does_not_read_chunks(shop: Deployment):
    """A bit that turned is found by reading only; a size or a missing object without."""
    first, second = chunks(shop)[:2]
    flip(file_of(shop, first), Path())
    assert verify(shop.workspace).exit_code == 0
    truncate(file_of(shop, second), Path())
    assert [fault.kind for fault in verify(shop.workspace).faults] == ["size"]


def test_a_chunk_found_damaged_is_written_anew_by_the_next_full_backup(shop: Deployment):
    """The mark keeps it from being reused, and goes once it is healed."""
    damaged = chunks(shop)[0]
    flip(file_of(shop, damaged), Path())
    assert verify(shop.workspace, read_data=True).marked == 1
    assert damaged_chunks(shop.workspace.store()) == {damaged.stored}
    shop.back_up(full=True)
    assert verify(shop.workspace, read_data=True).exit_code == 0
    assert damaged_chunks(shop.workspace.store()) == frozenset()


def test_a_mark_is_taken_from_a_chunk_that_reads_whole(shop: Deployment):
    """A fault of the medium that has passed is not held against the chunk for ever."""
    mark_damaged(shop.workspace.store(), stored=chunks(shop)[0].stored)
    assert verify(shop.workspace).unmarked == 0
    assert verify(shop.workspace, read_data=True).unmarked == 1
    assert damaged_chunks(shop.workspace.store()) == frozenset()


def test_a_storage_that_refuses_marks_does_not_hide_the_damage(shop: Deployment):
    """The faults are told all the same, with a note."""
    flip(file_of(shop, chunks(shop)[0]), Path())
    (shop.folder / "repository" / "marks").write_text("in the way")
    found = verify(shop.workspace, read_data=True)
    assert (found.exit_code, found.marked) == (20, 0)
    assert "could not be marked" in found.notes[0]


def test_a_damaged_schema_archive_concerns_all_tables_and_days(shop: Deployment):
    """Whole files are read and hashed like chunks."""
    schema = shop.backups()[0].schema
    flip(shop.folder / "repository" / "files" / schema.digest, Path())
    (fault,) = verify(shop.workspace, read_data=True).faults
    assert (fault.object, fault.kind, fault.table, fault.days) == (f"files/{schema.digest}", "content", None, ())


def test_a_damaged_manifest_does_not_keep_the_others_from_being_verified(shop: Deployment):
    """One backup is named, the data of the next is read."""
    newer = shop.back_up(full=True).manifest
    flip(shop.folder / "repository" / "backups" / shop.backups()[0].id, Path())
    found = verify(shop.workspace, read_data=True)
    assert found.backups == (newer.id,)
    assert [fault.object for fault in found.faults] == [f"backups/{found.notes[0].split()[1].rstrip(':')}"]
    assert found.data is not None
    assert found.data.rows == 2003


def test_all_parts_of_a_subset_read_every_object_exactly_once(shop: Deployment):
    """1/3, 2/3 and 3/3 are disjoint and together everything; each is the same again."""
    whole = verify(shop.workspace, read_data=True).data
    parts = [verify(shop.workspace, subset=Subset(part, 3)).data for part in (1, 2, 3)]
    assert whole is not None
    assert sum(part.objects for part in parts if part) == whole.objects
    assert sum(part.rows for part in parts if part) == whole.rows
    again = verify(shop.workspace, subset=Subset(1, 3)).data
    assert again is not None
    assert parts[0] is not None
    assert (again.objects, again.bytes) == (parts[0].objects, parts[0].bytes)


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "1/0", "a/b", "-1/3", "1/3/5", ""])
def test_what_is_no_subset_is_refused(text: str):
    """n/t with 1 <= n <= t."""
    with pytest.raises(UsageError, match="no subset"):
        parse_subset(text)


def test_debris_is_told_and_is_no_damage(shop: Deployment):
    """What a killed backup left does not change the verdict."""
    stray = shop.folder / "repository" / "files" / ("0" * 64)
    stray.write_bytes(b"left behind")
    found = verify(shop.workspace)
    assert found.exit_code == 0
    assert found.debris is not None
    assert (found.debris.objects, found.debris.bytes) == (1, 11)


def test_empty_required_fields_are_a_warning_and_no_damage(shop: Deployment):
    """NULL and white space in a required column are counted when the data is read."""
    shop.sql(
        "UPDATE meta_import_data SET campaign_name = ' ' WHERE id <= 3;"
        "UPDATE meta_import_data SET ad_name = NULL WHERE id = 9"
    )
    shop.back_up(full=True)
    found = verify(shop.workspace, backup="latest", read_data=True)
    assert found.exit_code == 0
    (verdict,) = [verdict for verdict in found.verdicts if not verdict.passed]
    assert (verdict.table, verdict.statement) == ("public.meta_import_data", "required_fields")
    assert verdict.facts["empty: campaign_name"] == 3
    assert verdict.facts["empty: ad_name"] == 1
    assert [verdict.statement for verdict in verify(shop.workspace).verdicts if not verdict.passed] == []


def test_a_configured_table_that_the_backup_lacks_is_told(shop: Deployment):
    """A table that was protected after the backup is incomplete in it."""
    shop.configure('[tables."public.meta_import_data"]\n[tables."public.added_later"]\n')
    failed = [verdict for verdict in verify(shop.workspace).verdicts if not verdict.passed]
    assert [(verdict.table, verdict.statement) for verdict in failed] == [("public.added_later", "complete")]


def test_rows_that_are_not_those_of_the_manifest_are_found_though_the_hash_is_right(shop: Deployment):
    """A chunk's digests are recomputed from its rows: a manifest that says otherwise is contradicted by its day."""
    table = manifest(shop, META)
    chunk = chunks(shop)[0]
    path = file_of(shop, chunk)
    assert list(contradictions(path, table, chunk)) == []
    wrong = msgspec.structs.replace(chunk.days[2], digest="0" * 64)
    days = (*chunk.days[:2], wrong, *chunk.days[3:])
    changed = msgspec.structs.replace(chunk, days=days)
    assert ("has days whose digests do not make its own", days_of(chunk)) in list(contradictions(path, table, changed))
    digest = chunk_digest((day.day, day.digest) for day in days)
    consistent = msgspec.structs.replace(changed, digest=digest)
    (found,) = contradictions(path, table, consistent)
    assert found[1] == (wrong.day,)


def test_a_chunk_with_other_rows_than_its_days_have_is_found(shop: Deployment):
    """The file of another chunk, or a day too many, does not pass."""
    table = manifest(shop, META)
    first, second = chunks(shop)[:2]
    assert list(contradictions(file_of(shop, second), table, first))
    shorter = msgspec.structs.replace(first, days=first.days[:-1])
    assert any("other rows" in detail for detail, _ in contradictions(file_of(shop, first), table, shorter))


def test_wrong_generated_values_are_found(shop: Deployment):
    """Generated columns have a digest of their own, which is recomputed too."""
    table = manifest(shop, ODD)
    chunk = chunks(shop, ODD)[0]
    path = file_of(shop, chunk, ODD)
    assert chunk.days[0].generated
    assert list(contradictions(path, table, chunk)) == []
    days = (msgspec.structs.replace(chunk.days[0], generated="0" * 64), *chunk.days[1:])
    (found,) = contradictions(path, table, msgspec.structs.replace(chunk, days=days))
    assert "generated" in found[0]
    assert found[1] == (chunk.days[0].day,)


def test_bytes_that_are_no_parquet_cannot_be_decoded(shop: Deployment, tmp_path: Path):
    """A file with the right hash that no reader understands is damage, not a crash."""
    chunk = chunks(shop)[0]
    nonsense = tmp_path / "nonsense.parquet"
    nonsense.write_bytes(b"PAR1 nonsense PAR1")
    ((detail, days),) = contradictions(nonsense, manifest(shop, META), chunk)
    assert "cannot be decoded" in detail
    assert days == days_of(chunk)


def manifest(shop: Deployment, table: TableName) -> TableManifest:
    """The table's manifest in the newest backup."""
    return open_table(shop.workspace.open(), shop.backups()[-1], table).manifest
