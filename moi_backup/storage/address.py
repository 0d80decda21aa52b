"""Where a repository may be: a folder of this machine or a prefix of a bucket, told apart by the address' scheme."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from moi_backup.errors import ConfigurationError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
_ODD = re.compile(r"[\x00-\x20\x7f\\?#]")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket and the prefix of the object names in it (empty: the whole bucket; no slash at either end)."""

    name: str
    prefix: str = ""

    def __str__(self) -> str:
        return f"s3://{self.name}/{self.prefix}".rstrip("/")

    def key(self, name: str) -> str:
        """The name of an object as the bucket knows it."""
        return f"{self.prefix}/{name}" if self.prefix else name


def parse_address(address: str, *, setting: str) -> Path | Bucket:
    """The folder (as given, perhaps relative) or the bucket that an address names; `setting` is who gave it.

    Raises ConfigurationError for another scheme, and for what names neither.
    """
    scheme = _SCHEME.match(address)
    if scheme is None:
        return plain_path(address, setting=setting)
    rest = address[scheme.end() :]
    if scheme.group(1).lower() == "s3":
        return _bucket(rest, setting=setting)
    if scheme.group(1).lower() == "file":
        return _file(rest, address=address, setting=setting)
    raise ConfigurationError(
        f"{setting} begins with {scheme.group()}, and repositories of that kind are not in this release.",
        meaning="A repository is a folder on a file system of this machine, or a prefix of an S3 bucket.",
        remedy="Give a folder's path, file:///path or s3://bucket/prefix. "
        "A folder with a colon in its name is written ./name:more.",
    )


def plain_path(text: str, *, setting: str) -> Path:
    """A path without a scheme; raises ConfigurationError when it begins with what only a shell replaces."""
    if text.startswith("~"):
        raise ConfigurationError(
            f"{setting} begins with ~, which only a shell replaces.", remedy="Write the whole path of the folder."
        )
    return Path(text)


def _file(rest: str, *, address: str, setting: str) -> Path:
    host, slash, path = rest.removeprefix("//").partition("/")
    if not rest.startswith("//") or host not in ("", "localhost") or not slash:
        raise ConfigurationError(
            f"{setting} is {address}, which names no folder of this machine.",
            remedy="Write file:///path with three slashes, or the path alone.",
        )
    return Path("/" + unquote(path))


def _bucket(rest: str, *, setting: str) -> Bucket:
    """The text is not repeated when it is refused: someone may have put a key into it."""
    name, _, prefix = rest.removeprefix("//").partition("/")
    prefix = prefix.strip("/")
    odd = _ODD.search(prefix) or any(part in ("", ".", "..") for part in prefix.split("/") if prefix)
    if not rest.startswith("//") or not _BUCKET.fullmatch(name) or odd:
        raise ConfigurationError(
            f"{setting} begins with s3: and names no bucket and prefix.",
            meaning="Nothing but the bucket and the beginning of the object names stands in an address.",
            remedy="Write s3://bucket/prefix. Endpoint, region and credentials come from the AWS_* variables.",
        )
    return Bucket(name, prefix)
