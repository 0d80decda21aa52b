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
MARKS, LEASES, RECORDS = "marks/", "leases/", "records/"
MAX_PART, CUT_PART, CUT_HASH = 120, 80, 32
SEQ_DIGITS = 10
_DIGEST = re.compile(r"[0-9a-f]{64}")
_REFERENCE = re.compile(r"[0-9a-f]{64}(~[1-9]\d*)?")
_REVIVAL = re.compile(r"(?<=[0-9a-f]{64})~[1-9]\d*(?=(\.parquet)?$)")
_SPAN = re.compile(r"-?\d{4,}-\d\d(-\d\d(_\d\d)?)?|-?infinity|undated")
_BACKUP = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
_CHUNK = re.compile(r"chunks/([^/.]+)\.([^/.]+)/([^/]+)/([0-9a-f]{64})\.([0-9a-f]{64}(?:~[1-9]\d*)?)\.parquet")
_MARK = re.compile(r"marks/(\d{10})-(\d{10})(\.done)?")
_RECORD = re.compile(r"records/(?:restores|drills)/\d{8}T\d{6}Z-[0-9a-f]{6}")
_LEASE = re.compile(r"[a-z0-9_-]+")
_UNSAFE = re.compile(rb"[^a-z0-9_-]")


class ChunkName(NamedTuple):
    """A chunk's name taken apart; `table` is None when a part of it was too long to be written out.

    `stored` is a reference: the hash of the bytes, with a revival suffix where there is one.
    """

    table: TableName | None
    span: str
    digest: str
    stored: str


class MarkName(NamedTuple):
    """The name of a mark taken apart: the number of its chain entry and the epoch of the lease that made it."""

    seq: int
    epoch: int
    done: bool


def hash_of(reference: str) -> str:
    """The hash that a reference stands for, without its revival suffix."""
    return reference.partition("~")[0]


def revived(digest: str, mark: int) -> str:
    """A reference to a new object for bytes whose name was marked for deletion; the digest itself for mark 0."""
    return f"{digest}~{mark}" if mark else digest


def unrevived(name: str) -> str:
    """The name of an object without the revival suffix of its reference."""
    return _REVIVAL.sub("", name)


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


def chunk_folder(table: TableName) -> str:
    """The prefix of all chunks of a table."""
    return f"{CHUNKS}{table_folder(table)}/"


def chunk_name(table: TableName, chunk: Chunk) -> str:
    """The object a chunk lies in; DamagedObject when its entry cannot be one."""
    return chunk_object(table, span=chunk.span, digest=chunk.digest, stored=chunk.stored)


def chunk_object(table: TableName, *, span: str, digest: str, stored: str) -> str:
    """`chunks/<table>/<span>/<digest>.<stored>.parquet`."""
    name = f"{CHUNKS}{table_folder(table)}/{span}/{digest}.{stored}.parquet"
    if not (_SPAN.fullmatch(span) and _DIGEST.fullmatch(digest) and _REFERENCE.fullmatch(stored)):
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


def key_name(scope: str, number: int) -> str:
    """Where key `number` of a scope lies."""
    return f"{KEYS}{scope}/{number}"


def table_name(reference: str) -> str:
    """Where a table manifest or a chunk list lies."""
    return _by_reference(TABLES, reference)


def file_name(reference: str) -> str:
    """Where a whole file lies."""
    return _by_reference(FILES, reference)


def backup_name(backup: str) -> str:
    """Where the manifest of a backup lies."""
    if not is_backup_id(backup):
        raise DamagedObject(f"{BACKUPS}{backup}", "inconsistent", "no backup can have this id")
    return f"{BACKUPS}{backup}"


def trash_name(backup: str) -> str:
    """Where the manifest of an expired backup lies."""
    return TRASH + backup_name(backup).removeprefix(BACKUPS)


def record_folder(kind: str) -> str:
    """The prefix of all records of a kind (`restores`, `drills`)."""
    return f"{RECORDS}{kind}/"


def record_name(kind: str, record: str) -> str:
    """Where a record lies; its id has the form of a backup's."""
    name = f"{record_folder(kind)}{record}"
    if not is_backup_id(record):
        raise DamagedObject(name, "inconsistent", "no record can have this id")
    return name


def is_record_name(name: str) -> bool:
    """Whether a record can have this name."""
    return _RECORD.fullmatch(name) is not None


def chain_name(seq: int) -> str:
    """The entry `seq` (from 1) of the chain."""
    return f"{CHAIN}{seq:0{SEQ_DIGITS}d}"


def mark_name(seq: int, epoch: int) -> str:
    """What is marked for deletion by the chain entry `seq`; the epoch of its writer's lease makes the name unique."""
    return f"{MARKS}{seq:0{SEQ_DIGITS}d}-{epoch:0{SEQ_DIGITS}d}"


def done_name(seq: int, epoch: int) -> str:
    """Says that everything in a mark has been deleted."""
    return f"{mark_name(seq, epoch)}.done"


def parse_mark_name(name: str) -> MarkName | None:
    """Inverse of `mark_name` and `done_name`; None for another name."""
    match = _MARK.fullmatch(name)
    return None if match is None else MarkName(int(match[1]), int(match[2]), done=match[3] is not None)


def lease_folder(name: str) -> str:
    """The prefix of all epochs of a lease; ValueError for a name that is none."""
    if not _LEASE.fullmatch(name):
        raise ValueError(f"not the name of a lease: {name!r}")
    return f"{LEASES}{name}/"


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


def _by_reference(folder: str, reference: str) -> str:
    if not _REFERENCE.fullmatch(reference):
        raise DamagedObject(f"{folder}{reference}", "inconsistent", "no object can have this name")
    return f"{folder}{reference}"
