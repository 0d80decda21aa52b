"""The typed objects: written once, healed when rotten, and never read without a check."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from moi_backup.errors import MoiError, NoRepository, StorageError, UsageError
from moi_backup.model.table import ChunkList
from moi_backup.repository import layout
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.repository import Repository, create, open_repository
from moi_backup.storage.local import LocalStore
from tests.engine.repository.conftest import NOW
from tests.engine.repository.samples import SALES, write_backup, write_chunk

MONTH = ChunkList("2025-09", (), {})


def test_a_repository_is_made_once(store: LocalStore, tmp_path: Path):
    """The second time is a usage error that says so, and the id stays."""
    made = create(store, now=NOW, entropy=os.urandom)
    with pytest.raises(UsageError, match="already is a repository"):
        create(store, now=NOW, entropy=os.urandom)
    assert open_repository(store, heads=tmp_path).id == made


def test_its_identity_is_what_the_specification_says(store: LocalStore):
    """`repository.json` holds three fields and nothing else."""
    create(store, now=NOW, entropy=lambda size: b"\xab" * size)
    expected = b'{"created_at":"2026-11-24T20:30:00.000000+00:00","format":1,"id":"%s"}' % (b"ab" * 16)
    assert store.get("repository.json") == expected


def test_where_nothing_is_there_is_no_repository(store: LocalStore, tmp_path: Path):
    """The error has exit code 10 and names the place."""
    with pytest.raises(NoRepository, match=str(tmp_path)) as caught:
        open_repository(store, heads=tmp_path)
    assert "moi-backup init" in caught.value.remedy


def test_a_history_without_identity_is_damage_and_not_an_empty_place(store: LocalStore, tmp_path: Path):
    """Neither opening nor making one passes over what is left of a repository."""
    store.create(layout.chain_name(1), b"{}")
    with pytest.raises(DamagedObject, match=r"repository\.json"):
        open_repository(store, heads=tmp_path)
    with pytest.raises(UsageError, match="already is a repository"):
        create(store, now=NOW, entropy=os.urandom)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b'{"created_at":"","format":2,"id":"%s"}' % (b"0" * 32), NoRepository),
        (b'{"created_at":"","encryption":{"scheme":2},"format":1,"id":"%s"}' % (b"0" * 32), NoRepository),
        (b'{"created_at":"","encryption":{"scheme":1},"format":1,"id":"%s"}' % (b"0" * 32), NoRepository),
        (b'{"created_at":"","format":1,"id":"../../x"}', DamagedObject),
        (b"", DamagedObject),
    ],
)
def test_a_repository_this_version_cannot_read_is_refused_by_name(
    store: LocalStore, tmp_path: Path, data: bytes, error: type[MoiError]
):
    """A newer or unfinished one is none; a rotten one, and one with a history and no keys, is damaged."""
    store.put("repository.json", data)
    with pytest.raises(error):
        open_repository(store, heads=tmp_path)
    if b'"scheme":1' in data:
        store.put("chain/0000000001", b"a history")
        with pytest.raises(DamagedObject, match="keys/default/1"):
            open_repository(store, heads=tmp_path)


def test_a_document_that_is_there_is_not_written_again(repository: Repository):
    """Equal content is one object, and a second write leaves it alone."""
    digest = repository.write_chunk_list(MONTH)
    before = repository.store.info(layout.table_name(digest))
    assert repository.write_chunk_list(MONTH) == digest
    assert repository.store.info(layout.table_name(digest)) == before
    assert repository.read_chunk_list(digest) == MONTH


@pytest.mark.parametrize("rot", [b"", b"rubbish", None])
def test_writing_a_document_again_heals_it(repository: Repository, rot: bytes | None):
    """Missing, cut and rotten documents are damage to a reader and are written anew by the next writer."""
    digest = repository.write_chunk_list(MONTH)
    name = layout.table_name(digest)
    repository.store.delete(name) if rot is None else repository.store.put(name, rot)
    with pytest.raises(DamagedObject, match=name):
        repository.read_chunk_list(digest)
    repository.write_chunk_list(MONTH)
    assert repository.read_chunk_list(digest) == MONTH


def test_a_document_under_another_ones_name_is_damage(repository: Repository):
    """A valid document in the wrong place does not pass."""
    one = repository.write_chunk_list(MONTH)
    other = repository.write_chunk_list(ChunkList("2025-10", (), {}))
    repository.store.put(layout.table_name(one), repository.store.get(layout.table_name(other)))
    with pytest.raises(DamagedObject, match=one):
        repository.read_chunk_list(one)


def test_a_chunk_is_opened_only_as_it_was_stored(repository: Repository):
    """Its size and the hash of its bytes are checked first; missing, cut and changed chunks are named."""
    chunk = write_chunk(repository, SALES, "2025-09-14")
    name = layout.chunk_name(SALES, chunk)
    good = repository.store.get(name)
    with repository.open_chunk(SALES, chunk) as path:
        assert path.read_bytes() == good
    for bad, kind in ((good[:-1], "size"), (good[:-1] + b"!", "content"), (None, "missing")):
        repository.store.delete(name) if bad is None else repository.store.put(name, bad)
        with pytest.raises(DamagedObject, match=chunk.digest) as caught, repository.open_chunk(SALES, chunk):
            pass
        assert caught.value.kind == kind


def test_has_chunk_looks_at_the_size_only(repository: Repository):
    """That is what makes reuse cheap; reading finds the rest."""
    chunk = write_chunk(repository, SALES, "2025-09-14")
    name = layout.chunk_name(SALES, chunk)
    good = repository.store.get(name)
    assert repository.has_chunk(SALES, chunk)
    repository.store.put(name, good[:-1] + b"!")
    assert repository.has_chunk(SALES, chunk)
    with repository.open_chunk(SALES, chunk, check_hash=False) as path:
        assert path.stat().st_size == chunk.size
    repository.store.put(name, good[:-1])
    assert not repository.has_chunk(SALES, chunk)
    repository.store.delete(name)
    assert not repository.has_chunk(SALES, chunk)


def test_storing_a_chunk_again_heals_it(repository: Repository):
    """A full backup that writes the same chunk replaces rotten bytes of the same size."""
    chunk = write_chunk(repository, SALES, "2025-09-14")
    repository.store.put(layout.chunk_name(SALES, chunk), b"!" * chunk.size)
    assert write_chunk(repository, SALES, "2025-09-14") == chunk
    with repository.open_chunk(SALES, chunk):
        pass


def test_an_error_inside_the_context_is_not_changed(repository: Repository):
    """What goes wrong while a chunk is in use is the user's own error."""
    chunk = write_chunk(repository, SALES, "2025-09-14")
    with pytest.raises(LookupError, match="mine"), repository.open_chunk(SALES, chunk):
        raise LookupError("mine")


def test_a_file_is_stored_once_and_its_source_stays(repository: Repository, tmp_path: Path):
    """A file and its bytes give the same object; a rotten one is healed."""
    source = tmp_path / "upload.csv"
    source.write_bytes(b"day,rows\n")
    stored = repository.write_file(source)
    assert repository.write_file(b"day,rows\n") == stored
    assert source.read_bytes() == b"day,rows\n"
    assert list(repository.store.scratch().iterdir()) == []
    repository.store.put(layout.file_name(stored.digest), b"day,r0ws\n")
    with pytest.raises(DamagedObject, match=stored.digest), repository.open_file(stored.digest, size=stored.size):
        pass
    repository.write_file(source)
    with repository.open_file(stored.digest, size=stored.size) as path:
        assert path.read_bytes() == b"day,rows\n"


def test_a_file_that_cannot_be_read_is_named(repository: Repository, tmp_path: Path):
    """The error names the source, and nothing is left of the attempt."""
    with pytest.raises(StorageError, match=r"gone\.csv"):
        repository.write_file(tmp_path / "gone.csv")
    assert list(repository.store.scratch().iterdir()) == []


def test_a_backup_manifest_is_never_replaced(repository: Repository):
    """The same manifest can be written twice, another one under the same id cannot."""
    manifest = write_backup(repository, 1)
    stored = repository.write_backup(manifest)
    assert repository.read_backup(manifest.id, stored=stored) == manifest
    with pytest.raises(MoiError, match=manifest.id):
        write_backup(repository, 1, reason="another")
    assert repository.read_backup(manifest.id, stored=stored) == manifest


def test_a_backup_manifest_must_be_the_one_in_the_chain(repository: Repository):
    """A manifest with another hash than the chain's is damage, however valid."""
    manifest = write_backup(repository, 1)
    with pytest.raises(DamagedObject, match=manifest.id):
        repository.read_backup(manifest.id, stored="0" * 64)
