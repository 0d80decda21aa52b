"""The error tree: every failure a user can meet, with the exit code the command line gives it.

    MoiError                      1   failed
    ├── UsageError                2   the command's words are off (also ConfigurationError)
    ├── PartlyDone                3   some tables succeeded, some did not
    ├── NoRepository              10  there is no repository, or it cannot be read by this version
    ├── Locked                    11  another operation holds the lease
    ├── WrongKey                  12  a key is wrong, missing or retired
    ├── Damaged                   20  verification found damage
    └── Interrupted               130 a person or the system stopped the operation

Each error says what happened, what it means and what to do; nothing is logged and swallowed.
"""

from __future__ import annotations

from typing import ClassVar


class MoiError(Exception):
    """A failure that says what happened (`what`), what it means and what to do about it."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, meaning: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.meaning = meaning
        self.remedy = remedy

    def __str__(self) -> str:
        return "\n".join(line for line in (self.what, self.meaning, self.remedy) if line)


class UsageError(MoiError):
    """The request itself cannot be carried out as it was put."""

    exit_code = 2


class ConfigurationError(UsageError):
    """`moi.toml` or the environment names something that does not exist or does not fit."""


class PartlyDone(MoiError):
    """Some tables succeeded and some did not."""

    exit_code = 3


class NoRepository(MoiError):
    """There is no repository at this place, or this version cannot read it."""

    exit_code = 10


class Locked(MoiError):
    """Another operation holds the lease."""

    exit_code = 11


class WrongKey(MoiError):
    """A key is wrong, missing or retired."""

    exit_code = 12


class Damaged(MoiError):
    """Stored bytes are missing or are not what the manifest says."""

    exit_code = 20


class Interrupted(MoiError):
    """A person or the system stopped the operation."""

    exit_code = 130


class SourceError(MoiError):
    """The database refused, or is not what the operation needs."""


class StorageError(MoiError):
    """The place where the repository lives refused a read or a write."""
