"""Chunks as local files, fetched from a bucket ahead of their use; a folder's files are there already."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from moi_backup.model.table import Chunk, TableName
from moi_backup.repository.repository import Repository
from moi_backup.storage.at_once import in_order


class OpenedChunk(NamedTuple):
    """A checked local file, valid until `held` is closed: whoever takes it closes it."""

    chunk: Chunk
    path: Path
    held: ExitStack


def open_ahead(repository: Repository, table: TableName, chunks: Sequence[Chunk]) -> Generator[OpenedChunk]:
    """Every chunk in order, as `Repository.open_chunk` gives it; raises what that raises, where its chunk would come.

    What was fetched and not taken when the generator is closed is removed.
    """

    def fetch(chunk: Chunk) -> OpenedChunk:
        held = ExitStack()
        return OpenedChunk(chunk, held.enter_context(repository.open_chunk(table, chunk)), held)

    return in_order(
        fetch,
        chunks,
        threads=repository.store.requests_at_once,
        weight=lambda chunk: chunk.size,
        forget=lambda opened: opened.held.close(),
    )
