"""What the name of a stored object and the chain tell of its bytes: enough to copy it without understanding it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from moi_backup.repository import documents, layout
from moi_backup.repository.chain import Chain, manifest_hashes
from moi_backup.repository.damage import DamagedObject

# What follows a tilde distinguishes objects of the same bytes and is no part of the hash.
_CHUNK = re.compile(r"chunks/.+\.([0-9a-f]{64})(?:~\d+)?\.parquet")
_FILE = re.compile(r"files/([0-9a-f]{64})(?:~\d+)?")
_TABLE = re.compile(r"tables/([0-9a-f]{64})(?:~\d+)?")


class HashOf(Enum):
    """What a hash is of: the bytes as they are stored, or as they are before compression."""

    STORED = "stored"
    CONTENT = "content"


@dataclass(frozen=True, slots=True)
class Expected:
    """The blake3 an object must have."""

    digest: str
    of: HashOf = HashOf.STORED


@dataclass(frozen=True, slots=True)
class NameChecks:
    """`manifests` maps the names of backup manifests to their blake3, `encrypted` hides what names would tell.

    `unseal` gives the content of a sealed object (its name, its bytes), where the keys are here.
    """

    manifests: Mapping[str, str]
    encrypted: bool
    unseal: Callable[[str, bytes], bytes] | None = None

    def expected(self, name: str) -> Expected | None:
        """The hash of an object; None where neither its name nor the chain tells one."""
        if match := _CHUNK.fullmatch(name):
            return Expected(match[1])
        if name in self.manifests:
            return Expected(self.manifests[name])
        if self.encrypted:
            return None
        if match := _FILE.fullmatch(name):
            return Expected(match[1])
        if match := _TABLE.fullmatch(name):
            return Expected(match[1], HashOf.CONTENT)
        return None

    def require(self, name: str, data: bytes) -> None:
        """Raise DamagedObject unless the bytes are what name and chain say, as far as they say anything."""
        expected = self.expected(name)
        if name.startswith(layout.RECORDS):
            self._require_record(name, data)
        elif expected is not None:
            content = data if expected.of is HashOf.STORED else documents.decompress(data, name=name)
            documents.require_digest(content, expected.digest, name=name)

    def _require_record(self, name: str, data: bytes) -> None:
        """A record names itself; a sealed one can be looked at with its keys alone."""
        if self.unseal is not None:
            data = self.unseal(name, data)
        elif self.encrypted:
            return
        documents.unbound(data, name=name)

    def require_hash(self, name: str, stored: str) -> bool:
        """The same by the hash of the stored bytes alone; False when that tells nothing."""
        expected = self.expected(name)
        if expected is None or expected.of is not HashOf.STORED:
            return False
        if stored != expected.digest:
            raise DamagedObject(name, "content", f"has the hash {stored} instead of {expected.digest}")
        return True


def manifest_names(chain: Chain) -> dict[str, str]:
    """Where the manifest of every published backup may lie (also in the trash) and the hash the chain has for it."""
    return {
        name(backup): stored
        for backup, stored in manifest_hashes(chain).items()
        for name in (layout.backup_name, layout.trash_name)
    }
