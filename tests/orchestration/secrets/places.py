"""All bytes of a place with their names: files, a database, a repository with and without its encryption."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from moi_backup.operations.workspace import Workspace
from moi_backup.repository import documents, layout

Bytes = Iterator[tuple[str, bytes]]


def files(folder: Path) -> Bytes:
    """Every file below a folder, by its path; the path itself is looked at too."""
    for path in sorted(folder.rglob("*")):
        yield f"the name {path}", str(path).encode()
        if path.is_file():
            yield str(path), path.read_bytes()


def database(url: str) -> Bytes:
    """Every row of every table as text, and what is compressed in it."""
    with psycopg.connect(url) as connection:
        names = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname !~ '^(pg_|information)'"
        )
        for schema, table in names.fetchall():
            query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, table))
            for row in connection.execute(query):
                for value in row:
                    yield f"{schema}.{table}", value if isinstance(value, bytes) else str(value).encode()
                    if isinstance(value, bytes):
                        yield f"{schema}.{table}, decompressed", _decompressed(value)


def decrypted(workspace: Workspace) -> Bytes:
    """Every sealed object of a repository as its readers see it."""
    repository = workspace.open()
    for info in repository.store.list(""):
        stored = repository.store.get(info.name)
        if stored.startswith(b"MOI1"):
            name = info.name.replace(layout.TRASH, layout.BACKUPS)
            content = repository.unsealed(stored, name=name)
            yield info.name, content
            if info.name.startswith(layout.TABLES):
                yield f"{info.name}, decompressed", documents.decompress(content, name=name)


def _decompressed(value: bytes) -> bytes:
    try:
        return zlib.decompress(value)
    except zlib.error:
        return b""
