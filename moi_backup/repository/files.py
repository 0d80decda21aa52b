"""Local files that hold objects: checked against what is said of them, and copied."""

from __future__ import annotations

from pathlib import Path

from blake3 import blake3

from moi_backup.repository import documents
from moi_backup.repository.damage import DamagedObject

_COPY_BYTES = 1 << 20


def check_file(path: Path, *, name: str, digest: str | None, size: int, hasher: blake3 | None = None) -> None:
    """DamagedObject unless the file that holds the object has this size and (when it is given) this blake3."""
    try:
        found = path.stat().st_size
        stored = digest if digest is None or found != size else documents.hash_file(path, hasher)[0]
    except OSError as error:
        raise DamagedObject(name, "unreadable", f"cannot be read ({error.strerror})") from error
    if found != size:
        raise DamagedObject(name, "size", f"has {found} bytes instead of {size}")
    if stored != digest:
        raise DamagedObject(name, "content", f"has the hash {stored} instead of {digest}")


def copy_file(source: Path, target: Path, *, hasher: blake3) -> tuple[str, int]:
    """Copy a file and hash the very bytes that were copied: the source may be changing."""
    size = 0
    with source.open("rb") as reading, target.open("xb") as writing:
        while block := reading.read(_COPY_BYTES):
            hasher.update(block)
            writing.write(block)
            size += len(block)
    return hasher.hexdigest(), size
