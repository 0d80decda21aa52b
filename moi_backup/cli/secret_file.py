"""Handing a key to a person: into a file of its own, readable by its owner alone, or on standard output."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from moi_backup.cli.invocation import Invocation
from moi_backup.cli.output import write_line
from moi_backup.errors import UsageError


class KeyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`file` holds the key, or `key` does; `holds` names the scopes of an export."""

    key: str | None
    file: str | None
    holds: tuple[str, ...]


def hand_over(invocation: Invocation, text: str, *, file: Path | None, told: str, holds: tuple[str, ...] = ()) -> None:
    """Write the key to the file and say `told`, or print it, also under --quiet; raises UsageError."""
    output = invocation.output
    if file is not None:
        write_secret(invocation.cwd / file, text)
        output.line(told)
    elif not invocation.json:
        write_line(text)
    output.document(
        KeyDocument(key=None if file else text, file=str(invocation.cwd / file) if file else None, holds=holds)
    )


def write_secret(file: Path, text: str) -> None:
    """Write a line into a new file of mode 0600; raises UsageError when there is one, for it may hold another key.

    When this returns, the key is on the disk; when it raises, no file of this name was made.
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise _unwritten(file, error) from error
    try:
        with os.fdopen(descriptor, "w") as opened:
            opened.write(f"{text}\n")
            opened.flush()
            os.fsync(opened.fileno())
        _sync_folder(file.parent)
    except OSError as error:
        with suppress(OSError):
            file.unlink()
        raise _unwritten(file, error) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritten(file: Path, error: OSError) -> UsageError:
    return UsageError(
        f"{file} cannot be written: {error.strerror}.",
        meaning="No key was written.",
        remedy="Name a file that does not exist yet, in a folder of your own.",
    )
