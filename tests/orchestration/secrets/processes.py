"""What other users of the machine could see: command lines; and what programs were given: their environments."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_PAUSE = 0.02
_PYTHON = Path(sys.executable).resolve().name


class ProcessList:
    """The command lines of all processes that began below this one, and the environments of those that are not ours."""

    def __init__(self) -> None:
        self.command_lines: set[bytes] = set()
        self.environments: dict[str, bytes] = {}

    def look(self) -> None:
        """Add what runs now."""
        parents = {int(entry.name): _parent(entry) for entry in Path("/proc").iterdir() if entry.name.isdecimal()}
        for pid in parents:
            if _below(os.getpid(), pid, parents):
                self._add(Path(f"/proc/{pid}"))

    def _add(self, process: Path) -> None:
        try:
            command = (process / "cmdline").read_bytes()
            program, environment = (process / "exe").readlink().name, (process / "environ").read_bytes()
        except OSError:  # it has ended
            return
        self.command_lines.add(command)
        if program != _PYTHON and command:  # before its exec a child is a copy of Python, with all that Python has
            self.environments[f"{program} ({process.name})"] = environment


@contextmanager
def watched() -> Generator[ProcessList]:
    """Look at the processes again and again until the end of the context."""
    seen, over = ProcessList(), threading.Event()

    def watch() -> None:
        while not over.wait(_PAUSE):
            seen.look()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join(30)


def recorded(program: Path, *, real: str, records: Path) -> None:
    """Make a program that writes down its words and its environment, and then becomes another one."""
    program.write_text(
        "#!/bin/sh\n"
        f'tr "\\0" "\\n" < /proc/$$/cmdline > {records}/{program.name}.$$.words\n'
        f'tr "\\0" "\\n" < /proc/$$/environ > {records}/{program.name}.$$.environment\n'
        f'exec {real} "$@"\n'
    )
    program.chmod(0o755)


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _below(ancestor: int, pid: int, parents: dict[int, int]) -> bool:
    while pid in parents:
        pid = parents[pid]
        if pid == ancestor:
            return True
    return False
