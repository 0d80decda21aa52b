"""Crash points: every moment of a process at which something outside of it may have changed, numbered.

Numbers are counted in each role (the name of a thread without its own number) apart: how threads interleave varies
from run to run, what one of them does in which order does not.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from dataclasses import dataclass, field
from typing import Any

_OWN_NUMBER = re.compile(r"[_-]\d.*")
_HEARTBEAT = "lease"  # by the clock, so never the same; it only repeats what the acquiring wrote
_CHANGES = ("os.rename", "os.link", "os.mkdir", "os.utime", "os.chmod", "os.remove", "os.rmdir")


@dataclass
class Points:
    """Counts the points of this process; at the one numbered `kill` (role, from 0) it kills itself by SIGKILL."""

    kill: tuple[str, int] | None = None
    seen: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    lock: threading.RLock = field(default_factory=threading.RLock)

    def reach(self, label: str) -> None:
        """The calling thread is at this point."""
        role = _OWN_NUMBER.sub("", threading.current_thread().name)
        if role.startswith(_HEARTBEAT):
            return
        with self.lock:
            passed = self.seen.setdefault(role, [])
            passed.append(label)
            if self.kill == (role, len(passed) - 1):
                os.kill(os.getpid(), signal.SIGKILL)

    def watch_files(self, folder: str) -> None:
        """Number every change of the file system below a folder and every program that is started, for ever."""

        def hear(event: str, arguments: tuple[Any, ...]) -> None:
            if event == "subprocess.Popen":
                self.reach(f"start of {os.path.basename(os.fspath(arguments[0]))}")  # noqa: PTH119 - bytes or str
            elif _changes_files(event, arguments) and _is_below(arguments, folder):
                self.reach(f"before {event}")

        sys.addaudithook(hear)


def _changes_files(event: str, arguments: tuple[Any, ...]) -> bool:
    if event == "open":
        flags = arguments[2]
        return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    return event in _CHANGES


def _is_below(arguments: tuple[Any, ...], folder: str) -> bool:
    """By its path, or relative to an open folder, as a whole tree is removed."""
    return str(arguments[0]).startswith(folder) or (isinstance(arguments[-1], int) and arguments[-1] > 0)
