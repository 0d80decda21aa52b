"""A child process that runs one operation and can be killed at any moment.

It says `ready` when everything is imported, begins when it is told to, and says `start`, `advance` and so on as its
operation goes on. With `kill_at` it kills itself before that change of a file below the repository, counted from the
beginning of the operation.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from tests.engine.deployment import Deployment

LIMIT_SECONDS = 60
_CHANGES = ("os.rename", "os.link", "os.remove", "os.mkdir", "os.utime", "os.chmod")


def say(word: str) -> None:
    """Tell the parent."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


class Victim:
    """The parent's side."""

    def __init__(self, deployment: Deployment, operation: str, *, target: str | None = None, kill_at: int = 0) -> None:
        self._target = target or deployment.url
        order = {
            "url": deployment.url,
            "folder": str(deployment.folder),
            "operation": operation,
            "target": self._target,
            "kill_at": kill_at,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.engine.operations.victim", json.dumps(order)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=Path(__file__).parents[3],
        )  # fmt: skip
        self.wait_for("ready")

    def begin(self) -> None:
        """Let the operation begin."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def wait_for(self, word: str) -> list[str]:
        """Wait until it says the word (or ends); the words until then."""
        assert self._process.stdout is not None
        said: list[str] = []
        for line in self._process.stdout:
            said.append(line.strip())
            if line.strip() == word:
                break
        return said

    def kill(self) -> None:
        """Kill it as the kernel kills: nothing of its own runs any more."""
        self._process.kill()
        self._process.wait(LIMIT_SECONDS)

    def end(self) -> int:
        """Wait for its end; its exit code."""
        return self._process.wait(LIMIT_SECONDS)

    def wait_for_its_sessions(self) -> None:
        """Wait until the server has noticed that the client is gone and has rolled back."""
        query = """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                   AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""
        deadline = time.monotonic() + LIMIT_SECONDS
        with psycopg.connect(self._target, autocommit=True) as conn:
            while conn.execute(query).fetchone() != (0,):
                assert time.monotonic() < deadline
                time.sleep(0.01)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


class _Saying:
    """A listener that says what it hears to the parent."""

    def step(self, text: str) -> None:
        say("step")

    def start(self, task: str, *, total: int, unit: str = "rows") -> None:
        say("start")

    def advance(self, task: str, amount: int) -> None:
        say("advance")

    def finish(self, task: str, note: str = "") -> None:
        say("finish")

    def warn(self, text: str) -> None:
        say("warn")


class _Counter:
    """Counts what changes files below a folder, and ends the process before a given change."""

    def __init__(self, folder: str, *, kill_at: int) -> None:
        self._folder, self._kill_at, self.count = folder, kill_at, 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        writes = (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        )
        if (writes or event in _CHANGES) and str(arguments[0]).startswith(self._folder):
            self.count += 1
            if self.count == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)


def _run(deployment: Deployment, operation: str, target: str) -> None:
    from moi_backup.model.restore import RestoreRequest
    from moi_backup.operations.restore import restore
    from moi_backup.operations.take_backup import BackupRequest, take_backup

    if operation == "backup":
        take_backup(deployment.workspace, BackupRequest(), progress=_Saying())
        return
    if operation == "copy":
        from moi_backup.operations.copy_repository import copy_repository
        from moi_backup.settings import place_named

        to = place_named("copy", cwd=deployment.folder, setting="--to")
        copy_repository(deployment.workspace, to=to, progress=_Saying())
        return
    place: dict[str, Any] = (
        {} if operation == "restore_new" else {"in_place": True, "on_conflict": "replace", "reason": "a test"}
    )
    result = restore(deployment.workspace, target, RestoreRequest(backup="latest", **place), progress=_Saying())
    assert result.complete, result


def main() -> None:
    """The child's side."""
    import adbc_driver_postgresql.dbapi  # noqa: F401 - loaded now, so that a kill falls into the operation
    import pyarrow.compute
    import pyarrow.parquet  # noqa: F401 - as above

    order = json.loads(sys.argv[1])
    deployment = Deployment(order["url"], Path(order["folder"]))
    written = "copy" if order["operation"] == "copy" else "repository"
    counter = _Counter(str(deployment.folder / written), kill_at=order["kill_at"])
    say("ready")
    sys.stdin.readline()
    sys.addaudithook(counter)
    _run(deployment, order["operation"], order["target"])
    say(f"changes {counter.count}")
    say("done")


if __name__ == "__main__":
    main()
