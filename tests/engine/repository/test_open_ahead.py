"""Chunks fetched ahead: in their order, checked, and no copy stays behind."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from moi_backup.repository import layout
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.open_ahead import open_ahead
from moi_backup.repository.repository import Repository, create, open_repository
from moi_backup.storage.local import LocalStore
from tests.engine.repository.conftest import NOW
from tests.engine.repository.samples import SALES, write_chunk

DAYS = [f"2025-09-{day:02d}" for day in range(1, 31)]


class CopyingStore(LocalStore):
    """Gives its objects as copies in the scratch folder, as a bucket does, to many at once."""

    requests_at_once = 4

    @contextmanager
    def local(self, name: str) -> Generator[Path]:
        copy = self.scratch() / f"copy-{os.urandom(8).hex()}"
        copy.write_bytes(self.get(name))
        try:
            yield copy
        finally:
            copy.unlink()

    def copies(self) -> int:
        return len(list(self.scratch().glob("copy-*")))


@pytest.fixture
def copying(tmp_path: Path) -> Repository:
    """A new repository whose chunks are copied to be read."""
    store = CopyingStore(tmp_path / "repository")
    create(store, now=NOW, entropy=os.urandom)
    return open_repository(store, heads=tmp_path / "heads")


def test_chunks_arrive_in_order_and_leave_nothing(copying: Repository):
    """Every chunk is given once, whole, and its copy is gone when its holder is closed."""
    chunks = [write_chunk(copying, SALES, day) for day in DAYS]
    given: list[str] = []
    for chunk, path, held in open_ahead(copying, SALES, chunks):
        with held:
            assert path.read_bytes() == copying.store.get(layout.chunk_name(SALES, chunk))
            given.append(chunk.span)
    assert given == DAYS
    assert isinstance(copying.store, CopyingStore)
    assert copying.store.copies() == 0


def test_whoever_stops_early_leaves_no_copy(copying: Repository):
    """What was fetched ahead and not used is removed with the generator."""
    chunks = [write_chunk(copying, SALES, day) for day in DAYS]
    with closing(open_ahead(copying, SALES, chunks)) as opened, next(opened).held:
        pass
    assert isinstance(copying.store, CopyingStore)
    assert copying.store.copies() == 0


def test_a_damaged_chunk_is_named_after_the_whole_ones_before_it(copying: Repository):
    """The error comes where the chunk would have come, and no copy stays."""
    chunks = [write_chunk(copying, SALES, day) for day in DAYS]
    name = layout.chunk_name(SALES, chunks[5])
    copying.store.put(name, b"x" * chunks[5].size)
    opened = open_ahead(copying, SALES, chunks)
    for day in DAYS[:5]:
        found = next(opened)
        with found.held:
            assert found.chunk.span == day
    with pytest.raises(DamagedObject, match="2025-09-06"):
        next(opened)
    assert isinstance(copying.store, CopyingStore)
    assert copying.store.copies() == 0
