"""Documents: canonical JSON, gzip-compressed below `tables/`, and the refusal of what this version cannot read."""

from __future__ import annotations

import gzip
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec
from blake3 import blake3

from moi_backup.errors import NoRepository
from moi_backup.repository.damage import DamagedObject

FORMAT = 1
ENCRYPTION_SCHEME = 1
_HASH_BYTES = 1 << 20
_GZIP_LEVEL = 6
Document = TypeVar("Document", bound=msgspec.Struct)


class _Versioned(msgspec.Struct):
    """The only field that is read before the version is known."""

    format: int = 1


class Encryption(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That a repository is encrypted, and how (docs/format.md, "Encryption")."""

    scheme: int = ENCRYPTION_SCHEME


class RepositoryDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`repository.json`: `id` is 32 hex digits; `encryption` is there in encrypted repositories only."""

    created_at: str
    id: str
    encryption: Encryption | msgspec.UnsetType = msgspec.UNSET
    format: int = FORMAT

    @property
    def scheme(self) -> int:
        """The encryption scheme; 0 without encryption."""
        return 0 if self.encryption is msgspec.UNSET else self.encryption.scheme

    @property
    def is_encrypted(self) -> bool:
        """Whether its objects can be read with keys alone."""
        return self.scheme > 0


def encode_document(document: msgspec.Struct) -> bytes:
    """JSON in UTF-8 with sorted keys and no white space: equal values give equal bytes."""
    return msgspec.json.encode(document, order="sorted")


def decode_document(data: bytes, kind: type[Document], *, name: str) -> Document:
    """The document that the object `name` holds.

    Raises NoRepository when a newer version wrote it (its `format`) or may have (a field unknown here), DamagedObject
    when it is none.
    """
    try:
        version = msgspec.json.decode(data, type=_Versioned).format
        if version > FORMAT:
            raise newer(name, f"has format {version}, this version reads up to format {FORMAT}", version)
        if version < 1:
            raise DamagedObject(name, "content", f"has format {version}, which there never was")
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        if "unknown field" in str(error):
            raise _unknown_field(name, str(error)) from error
        raise DamagedObject(name, "content", f"is no valid document ({error})") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedObject(name, "content", f"is no document ({error})") from error


def compress(data: bytes) -> bytes:
    """Gzip without a time in it."""
    return gzip.compress(data, compresslevel=_GZIP_LEVEL, mtime=0)


def decompress(data: bytes, *, name: str) -> bytes:
    """Inverse of `compress`; DamagedObject when it is no gzip, or cut short."""
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DamagedObject(name, "content", f"cannot be decompressed ({error})") from error


def digest_of(data: bytes) -> str:
    """Blake3 in lower-case hex."""
    return blake3(data).hexdigest()


def require_digest(data: bytes, digest: str, *, name: str) -> None:
    """DamagedObject unless the bytes have this blake3."""
    found = digest_of(data)
    if found != digest:
        raise DamagedObject(name, "content", f"has the hash {found} instead of {digest}")


def bound(data: bytes, *, name: str) -> bytes:
    """A document behind the blake3 (hex) of its name and itself, so that it is known for what it is under that name."""
    return f"{digest_of(_named(data, name))}\n".encode() + data


def unbound(content: bytes, *, name: str) -> bytes:
    """Inverse of `bound`; DamagedObject for what was not written under this name."""
    digest, _, data = content.partition(b"\n")
    if digest != digest_of(_named(data, name)).encode():
        raise DamagedObject(name, "content", "is not what was written under this name")
    return data


def _named(data: bytes, name: str) -> bytes:
    return name.encode() + b"\n" + data


def hash_file(file: Path, hasher: blake3 | None = None) -> tuple[str, int]:
    """Blake3 and size of a file, read in pieces (not mapped: a failing disk then is an error, not a killed process)."""
    hasher, size = hasher or blake3(), 0
    with file.open("rb") as opened:
        while block := opened.read(_HASH_BYTES):
            hasher.update(block)
            size += len(block)
    return hasher.hexdigest(), size


def timestamp(moment: datetime) -> str:
    """A moment as documents write it: UTC with offset, microseconds; ValueError without a time zone."""
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone cannot be stored")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def newer(name: str, detail: str, version: int = FORMAT) -> NoRepository:
    """The refusal of what a newer version wrote."""
    needed = f"format {version}" if version > FORMAT else "the format of the version that wrote it"
    return NoRepository(
        f"The repository was written by a newer version: {name} {detail}.",
        meaning="It is refused as a whole; nothing is read in part.",
        remedy=f"Install a moi-backup that reads {needed}.",
    )


def _unknown_field(name: str, error: str) -> NoRepository:
    """The refusal of a document in a known format with a field that this version does not know."""
    return NoRepository(
        f"{name} holds what this version does not know ({error}): it is damaged, or was written by a newer version.",
        meaning="Its format is known, so damage is more likely. It is refused as a whole; nothing is read in part.",
        remedy=f"Restore {name} from a copy of the repository if there is one; "
        "if a newer moi-backup works on this repository, install that one.",
    )
