"""The last head of the chain that was seen at a place, kept outside the repository in the folder `heads` of the state.

Each place has its own, `heads/<id>.<place>.json`: a copy of a repository lags behind it and is not cut off for that.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec
from blake3 import blake3

from moi_backup.errors import StorageError
from moi_backup.repository import documents
from moi_backup.repository.damage import DamagedObject

NOTHING_BEFORE = "0" * 64
_PLACE_DIGITS = 16


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last entry: its number (0: the chain is empty) and the blake3 of its bytes."""

    seq: int
    hash: str
    format: int = documents.FORMAT


def head_file(heads: Path, *, repository: str, address: str) -> Path:
    """Where the head of the repository with this id at this address is remembered."""
    place = blake3(address.encode()).hexdigest()[:_PLACE_DIGITS]
    return heads / f"{repository}.{place}.json"


def seen_head(file: Path) -> Head:
    """The head seen last, number 0 when none was. Raises StorageError or DamagedObject when it cannot be read.

    Without one of its own a place has that of `<id>.json`, where heads were kept before each place had its own.
    """
    former = file.with_name(f"{file.name.partition('.')[0]}.json")
    return _read(file) or _read(former) or Head(0, NOTHING_BEFORE)


def _read(file: Path) -> Head | None:
    try:
        return documents.decode_document(file.read_bytes(), Head, name=str(file))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(
            f"Could not read {file}: {error.strerror}.",
            meaning="Without it a repository whose newest backups were cut off would look whole.",
            remedy="Make it readable, or set MOI_STATE to an empty folder to work from the repository alone.",
        ) from error
    except DamagedObject as error:
        remedy = f"Run moi-backup verify, then remove {file}; it is written anew."
        raise DamagedObject(str(file), error.kind, error.detail, remedy=remedy) from error


def keep_head(file: Path, head: Head) -> str:
    """Remember a longer chain; why that failed, or "": a restore must not fail for a read-only or full state folder."""
    temporary = file.with_suffix(f".{os.getpid()}-{os.urandom(4).hex()}.tmp")
    try:
        if head.seq <= seen_head(file).seq:
            return ""
        file.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as opened:
            opened.write(documents.encode_document(head))
            opened.flush()
            os.fsync(opened.fileno())
        temporary.replace(file)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        return f"Could not remember the head of the chain in {file}: {error.strerror}."
    return ""
