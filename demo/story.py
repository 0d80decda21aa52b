"""What the demo tells: numbered steps, the commands it runs with their real output, and promises that are checked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from demo.place import CHECKOUT
from moi_backup.errors import MoiError


class PromiseBrokenError(MoiError):
    """A step of the demo did not come out as promised."""


class Story:
    """Prints steps as they happen."""

    def __init__(self) -> None:
        self._step = 0

    def step(self, title: str) -> None:
        """Begin a step."""
        self._step += 1
        say(f"\n== {self._step}. {title}")

    def sql(self, statement: str) -> None:
        """Show a statement that is run on the live database."""
        say(f"sql> {statement}")

    def command(self, *arguments: str) -> None:
        """Run one command of the CLI; raises PromiseBrokenError when it fails."""
        say(f"$ .venv/bin/moi-backup {' '.join(map(_quoted, arguments))}")
        program = Path(sys.executable).with_name("moi-backup")
        done = subprocess.run([program, *arguments], cwd=CHECKOUT, env=_plain_environment(), check=False)
        self.promise(done.returncode == 0, f"moi-backup {arguments[0]} ended with exit code {done.returncode}")

    def document(self, *arguments: str) -> dict[str, Any]:
        """Run one command of the CLI with --json and give its document instead of showing it."""
        say(f"$ .venv/bin/moi-backup {' '.join(map(_quoted, arguments))} --json")
        program = Path(sys.executable).with_name("moi-backup")
        done = subprocess.run([program, *arguments, "--json"], cwd=CHECKOUT, stdout=subprocess.PIPE, check=False)
        self.promise(done.returncode == 0, f"moi-backup {arguments[0]} ended with exit code {done.returncode}")
        return json.loads(done.stdout)

    def promise(self, kept: bool, broken: str) -> None:  # noqa: FBT001 - reads as a sentence
        """Go on only when a promise was kept."""
        if not kept:
            raise PromiseBrokenError(f"The demo stops: {broken}.", remedy="The output above says what happened.")


def say(text: str) -> None:
    """Print at once, in order with the output of the commands."""
    print(text, flush=True)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print aligned columns."""
    cells = [list(map(str, row)) for row in (header, *rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(header))]
    for row in cells:
        say("   " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _quoted(argument: str) -> str:
    return f'"{argument}"' if " " in argument else argument


def _plain_environment() -> dict[str, str]:
    return {**os.environ, "COLUMNS": os.environ.get("COLUMNS", "160")}
