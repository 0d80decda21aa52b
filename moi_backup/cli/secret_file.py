"""Files that hold a key: readable by their owner alone, and never written over."""

from __future__ import annotations

import os
from pathlib import Path

from moi_backup.errors import UsageError


def write_secret(file: Path, text: str) -> None:
    """Write a line into a new file of mode 0600; raises UsageError when there is one, for it may hold another key."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise UsageError(
            f"{file} cannot be written: {error.strerror}.",
            meaning="No key was written.",
            remedy="Name a file that does not exist yet, in a folder of your own.",
        ) from error
    with os.fdopen(descriptor, "w") as opened:
        opened.write(f"{text}\n")
        opened.flush()
        os.fsync(opened.fileno())
