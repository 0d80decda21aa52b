"""The names of all objects (docs/format.md, "Objects"), and back from a chunk's name to what it holds.

What a stored document names is checked here, so that no document can point outside its place.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import unquote

from blake3 import blake3

from moi_backup.model.table import Chunk, TableName
from moi_backup.repository.damage import DamagedObject

REPOSITORY = "repository.json"
KEYS = "keys/"
CHUNKS, TABLES, FILES, BACKUPS, CHAIN, TRASH = "chunks/", "tables/", "files/", "backups/", "chain/", "trash/"
MAX_PART, CUT_PART, CUT_HASH = 120, 80, 32
SEQ_DIGITS = 10
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SPAN = re.compile(r"-?\d{4,}-\d\d(-\d\d(_\d\d)?)?|-?infinity|undated")
_BACKUP = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
_CHUNK = re.compile(r"chunks/([^/.]+)\.([^/.]+)/([^/]+)/([0-9a-f]{64})\.([0-9a-f]{64})\.parquet")
_LEASE = re.compile(r"[a-z0-9_-]+")
_UNSAFE = re.compile(rb"[^a-z0-9_-]")


class ChunkName(NamedTuple):
    """A chunk's name taken apart; `table` is None when a part of it was too long to be written out."""

    table: TableName | None
    span: str
    digest: str
    stored: str


def encode_part(text: str) -> str:
    """A schema's or table's name as part of an object name; short, and safe where file systems ignore case."""
    encoded = _UNSAFE.sub(lambda match: b"%%%02X" % match.group()[0], text.encode()).decode()
    if len(encoded) <= MAX_PART:
        return encoded
    return f"{encoded[:CUT_PART]}~{blake3(encoded.encode()).hexdigest()[:CUT_HASH]}"


def decode_part(encoded: str) -> str | None:
    """Inverse of `encode_part`; None for a name that was cut."""
    return None if "~" in encoded else unquote(encoded, errors="strict")


def table_folder(table: TableName) -> str:
    """`schema.name` as in object names."""
    return f"{encode_part(table.schema)}.{encode_part(table.name)}"


def chunk_name(table: TableName, chunk: Chunk) -> str:
    """The object a chunk lies in; DamagedObject when its entry cannot be one."""
    return chunk_object(table, span=chunk.span, digest=chunk.digest, stored=chunk.stored)


def chunk_object(table: TableName, *, span: str, digest: str, stored: str) -> str:
    """`chunks/<table>/<span>/<digest>.<stored>.parquet`."""
    name = f"{CHUNKS}{table_folder(table)}/{span}/{digest}.{stored}.parquet"
    if not (_SPAN.fullmatch(span) and _DIGEST.fullmatch(digest) and _DIGEST.fullmatch(stored)):
        raise DamagedObject(name, "inconsistent", "no chunk can have this name")
    return name


def parse_chunk_name(name: str) -> ChunkName:
    """Table, span and hashes of a chunk's name; raises ValueError when it is none."""
    match = _CHUNK.fullmatch(name)
    if match is None or not _SPAN.fullmatch(match.group(3)):
        raise ValueError(f"not the name of a chunk: {name!r}")
    schema, table = decode_part(match.group(1)), decode_part(match.group(2))
    known = None if schema is None or table is None else TableName(schema, table)
    return ChunkName(known, match.group(3), match.group(4), match.group(5))


def table_name(digest: str) -> str:
    """Where a table manifest or a chunk list lies."""
    return _by_digest(TABLES, digest)


def file_name(digest: str) -> str:
    """Where a whole file lies."""
    return _by_digest(FILES, digest)


def backup_name(backup: str) -> str:
    """Where the manifest of a backup lies."""
    if not is_backup_id(backup):
        raise DamagedObject(f"{BACKUPS}{backup}", "inconsistent", "no backup can have this id")
    return f"{BACKUPS}{backup}"


def trash_name(backup: str) -> str:
    """Where the manifest of an expired backup lies."""
    return TRASH + backup_name(backup).removeprefix(BACKUPS)


def chain_name(seq: int) -> str:
    """The entry `seq` (from 1) of the chain."""
    return f"{CHAIN}{seq:0{SEQ_DIGITS}d}"


def lease_folder(name: str) -> str:
    """The prefix of all epochs of a lease; ValueError for a name that is none."""
    if not _LEASE.fullmatch(name):
        raise ValueError(f"not the name of a lease: {name!r}")
    return f"leases/{name}/"


def lease_name(name: str, epoch: int) -> str:
    """One epoch of a lease."""
    return f"{lease_folder(name)}{epoch:0{SEQ_DIGITS}d}"


def beat_name(name: str, epoch: int) -> str:
    """The heartbeat of one epoch of a lease."""
    return f"{lease_name(name, epoch)}.beat"


def new_backup_id(now: datetime, *, entropy: bytes) -> str:
    """The id of a backup that starts now: UTC time and three bytes of randomness, `20261124T203000Z-7f3a9c`."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{entropy[:3].hex()}"


def is_backup_id(text: str) -> bool:
    """Whether a text has the form of a backup id."""
    return _BACKUP.fullmatch(text) is not None


def _by_digest(folder: str, digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise DamagedObject(f"{folder}{digest}", "inconsistent", "no object can have this name")
    return f"{folder}{digest}"
