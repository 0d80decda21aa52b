"""Where the keys of `MOI_KEY_<n>` come from: the variable itself, a file, or what a command prints.

Nothing is read before an encrypted repository is opened. No error and no repr shows a key.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from moi_backup.errors import WrongKey
from moi_backup.model.child_environment import KEY_VARIABLES, without_keys
from moi_backup.repository.key_text import ExportedScopes, MasterKey, parse_key

FILE, COMMAND = "file:", "command:"
COMMAND_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class KeySource:
    """`MOI_KEY_<number>`; a relative file is looked for in `folder`, where a command runs too."""

    number: int
    secret_value: str = field(repr=False)
    folder: Path

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"{KEY_VARIABLES}{self.number}"

    @property
    def shown(self) -> str:
        """Where the key comes from, as a person may see it."""
        if self.secret_value.startswith(FILE):
            return self.secret_value
        return "a command" if self.secret_value.startswith(COMMAND) else "the environment"

    def file_mode(self) -> int | None:
        """The mode bits of the key's file; None when it comes from elsewhere, or the file is not there."""
        if not self.secret_value.startswith(FILE):
            return None
        try:
            return self._path().stat().st_mode
        except OSError:
            return None

    def read(self) -> MasterKey | ExportedScopes:
        """The key; raises WrongKey when it cannot be had or is none."""
        return parse_key(self._text(), number=self.number, origin=f"{self.variable} ({self.shown})")

    def _text(self) -> str:
        if self.secret_value.startswith(FILE):
            return self._of_file(self._path())
        if self.secret_value.startswith(COMMAND):
            return self._of_command(self.secret_value.removeprefix(COMMAND))
        return self.secret_value

    def _path(self) -> Path:
        return self.folder / self.secret_value.removeprefix(FILE)

    def _of_file(self, path: Path) -> str:
        try:
            return path.read_text("ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise self._unread(f"{path} cannot be read ({_reason(error)})") from None

    def _of_command(self, command: str) -> str:
        """The standard output of a program that is run without a shell and without the other keys."""
        try:
            words = shlex.split(command)
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # it may hold the key, and it may wait for a person
                env=without_keys(os.environ),
                cwd=self.folder,
                timeout=COMMAND_SECONDS,
                check=True,
            )
            return done.stdout.decode("ascii")
        except (OSError, ValueError, IndexError, subprocess.SubprocessError) as error:
            raise self._unread(f"its command failed ({_reason(error)})") from None

    def _unread(self, what: str) -> WrongKey:
        return WrongKey(
            f"{self.variable}: {what}.",
            meaning="The key could not be had, so the repository was not opened.",
            remedy=f"{self.variable} is a key, {FILE}PATH or {COMMAND}PROGRAM ARGUMENTS, readable for this user.",
        )


@dataclass(frozen=True, slots=True)
class GivenKeys:
    """The keys of this process, read."""

    masters: tuple[MasterKey, ...] = ()
    exported: tuple[ExportedScopes, ...] = ()

    @property
    def newest(self) -> MasterKey | None:
        """The master key with the highest number, which wraps what is made from now on."""
        return max(self.masters, key=lambda master: master.number, default=None)


def read_keys(sources: Sequence[KeySource]) -> GivenKeys:
    """All configured keys; raises WrongKey at the first that cannot be had."""
    keys = [source.read() for source in sources]
    return GivenKeys(
        masters=tuple(key for key in keys if isinstance(key, MasterKey)),
        exported=tuple(key for key in keys if isinstance(key, ExportedScopes)),
    )


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"exit code {error.returncode}"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"no answer within {COMMAND_SECONDS:.0f} s"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "not plain text" if isinstance(error, UnicodeDecodeError) else "not a command"
