"""Marks for deletion: which count, what a writer sees of them, and that the chain is what makes them safe."""

from __future__ import annotations

import pytest

from moi_backup.errors import Locked
from moi_backup.model.table import ChunkList
from moi_backup.repository import layout
from moi_backup.repository.chain import published, read_chain
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.deletion import finish, mark_unreachable
from moi_backup.repository.leases import Lease
from moi_backup.repository.marked_names import gather
from moi_backup.repository.marks import damaged_chunks, mark_damaged, read_marks, with_marks
from moi_backup.repository.repository import Repository
from tests.engine.repository.conftest import NOW
from tests.engine.repository.samples import SALES, backup_id, publish, publish_backup, write_backup, write_chunk

HASH = "ab" * 32
DAY = "2025-09-14"


def now():
    return NOW


def marked(repository: Repository, lease: Lease) -> Repository:
    """A repository with a backup, whose mark lists all that a killed one wrote of another day; as a writer sees it."""
    publish_backup(repository, 1, lease=lease, tables={})
    write_backup(repository, 2, tables={SALES: [DAY]})
    mark = mark_unreachable(repository, lease=lease, now=now)
    assert mark is not None
    finish(repository, mark)
    return with_marks(repository)


def test_a_marked_name_is_neither_reused_nor_written(repository: Repository, lease: Lease):
    """Chunks, files and documents get the number of the mark, and read back under it; the rest keeps its name."""
    repository.write_file(b"upload")
    repository.write_chunk_list(ChunkList("2025-09", (), {}))
    writer = marked(repository, lease)
    before = {info.name for info in repository.store.list("")}
    publish_backup(writer, 3, lease=lease, tables={SALES: [DAY]})
    upload = writer.write_file(b"upload")
    assert repository.read_chunk_list(writer.write_chunk_list(ChunkList("2025-09", (), {}))).chunks == ()
    with repository.open_file(upload.digest, size=upload.size) as path:
        assert path.read_bytes() == b"upload"
    written = {info.name for info in repository.store.list("")} - before
    assert written & writer.marked.names == set()
    assert sorted(name.partition("/")[0] for name in written if "~2" in name) == ["chunks", "files", "tables"]
    manifest = repository.read_backup(backup_id(3), stored=read_chain(repository).entries[-1].manifest)
    table = repository.read_table(manifest.tables[0].manifest)
    [chunk] = repository.read_chunk_list(table.months[0].list).chunks
    with repository.open_chunk(SALES, chunk) as path:
        assert path.read_bytes()


def test_the_newest_mark_gives_the_number(repository: Repository, lease: Lease):
    """A revival that was marked itself is revived by the later mark, so no name ever comes back."""
    names = [f"files/{HASH}", f"files/{HASH}~3"]
    seen = gather([(7, (names[1],)), (3, (names[0],))], seen=9)
    assert (seen.mark_of(names[0]), seen.mark_of("files/" + "0" * 64)) == (7, 0)
    assert layout.revived(HASH, seen.mark_of(names[0])) == f"{HASH}~7"


def test_a_chunk_that_is_to_be_deleted_is_not_there_for_a_writer(repository: Repository, lease: Lease):
    """Readers still see it until it is gone."""
    publish_backup(repository, 1, lease=lease, tables={})
    chunk = write_chunk(repository, SALES, DAY)
    assert mark_unreachable(repository, lease=lease, now=now) is not None
    assert repository.has_chunk(SALES, chunk)
    assert not with_marks(repository).has_chunk(SALES, chunk)


def test_a_publish_that_has_not_read_the_newest_mark_is_refused(repository: Repository, lease: Lease):
    """Whoever began before the mark publishes nothing; the same bytes published after reading the marks are fine."""
    publish_backup(repository, 1, lease=lease, tables={})
    early = with_marks(repository)
    manifest = write_backup(early, 2)
    write_chunk(repository, SALES, "2025-12-24")
    mark_unreachable(repository, lease=lease, now=now, only=[name for name in chunks(repository) if "2025-12" in name])
    with pytest.raises(Locked, match="marked for deletion"):
        publish(early, manifest, lease=lease)
    assert published(read_chain(repository)) == [backup_id(1)]
    publish(with_marks(repository), manifest, lease=lease)
    assert published(read_chain(repository)) == [backup_id(1), backup_id(2)]


def test_only_what_is_asked_for_and_not_needed_is_marked(repository: Repository, lease: Lease):
    """A failed backup marks its own chunks, and of these none that another backup has."""
    publish_backup(repository, 1, lease=lease)
    needed, other = min(chunks(repository)), write_chunk(repository, SALES, "2025-12-24")
    write_chunk(repository, SALES, "2025-12-25")
    wanted = layout.chunk_name(SALES, other)
    mark = mark_unreachable(repository, lease=lease, now=now, only=[needed, wanted])
    assert mark is not None
    assert mark.names == (wanted,)


def test_a_mark_that_the_chain_does_not_name_does_not_count(repository: Repository, lease: Lease):
    """One that was written and never entered, and one of the same place by another epoch."""
    marked(repository, lease)
    [mark] = read_marks(repository, read_chain(repository))
    repository.store.put(layout.mark_name(mark.entry.seq, mark.entry.lease_epoch + 1), b"{}")
    repository.store.put(layout.mark_name(9, 1), b"{}")
    assert read_marks(repository, read_chain(repository)) == [mark]


def test_no_mark_can_name_what_is_not_data(repository: Repository, lease: Lease, monkeypatch: pytest.MonkeyPatch):
    """A list that names a chain entry is read as damaged, so nothing of it is deleted."""
    publish_backup(repository, 1, lease=lease, tables={})
    monkeypatch.setattr("moi_backup.repository.deletion.DELETABLE", ("chain/",))
    mark_unreachable(repository, lease=lease, now=now)
    [mark] = read_marks(repository, read_chain(repository))
    assert mark.names is None
    finish(repository, mark)
    assert len(read_chain(repository).entries) == 2


def test_deleting_a_chunk_takes_its_damage_along(repository: Repository, lease: Lease):
    """A note of damage to what is gone would alarm for ever."""
    publish_backup(repository, 1, lease=lease, tables={})
    chunk = write_chunk(repository, SALES, DAY)
    for stored in (chunk.stored, HASH):
        mark_damaged(repository.store, stored=stored)
    mark = mark_unreachable(repository, lease=lease, now=now)
    assert mark is not None
    finish(repository, mark)
    assert damaged_chunks(repository.store) == {HASH}


def test_a_manifest_that_vanishes_while_it_is_written_is_damage(repository: Repository):
    """A backup that a prune has overtaken ends with an error of its own."""
    manifest = write_backup(repository, 1)

    class Vanishing:
        def __init__(self) -> None:
            self.get = repository.store.get

        def create(self, name: str, data: bytes) -> bool:
            repository.store.delete(name)
            return False

    with pytest.raises(DamagedObject, match="is missing"):
        Repository(Vanishing(), repository.id, repository.heads).write_backup(manifest)


def chunks(repository: Repository) -> list[str]:
    """The names of all chunks."""
    return [info.name for info in repository.store.list("chunks/")]
