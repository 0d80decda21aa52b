"""Somebody who types the commands of a page, with addresses of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Page:
    """A document with commands in `console` blocks."""

    def __init__(self, name: str) -> None:
        self.text = (ROOT / name).read_text("utf-8")

    @property
    def commands(self) -> list[tuple[str, str]]:
        """Every command with the heading it stands under, in order."""
        found: list[tuple[str, str]] = []
        for part in re.split(r"^(?=#+ )", self.text, flags=re.MULTILINE):
            heading = part.partition("\n")[0].lstrip("# ")
            for block in re.findall(r"```console\n(.*?)```", part, re.DOTALL):
                found += [(heading, text) for text in re.findall(r"^\$ ((?:.*\\\n)*.*)$", block, re.MULTILINE)]
        return found

    def section(self, heading: str) -> list[str]:
        """The commands under a heading, those for make left out."""
        return [text for under, text in self.commands if under == heading and not text.startswith("make ")]


class Reader:
    """`own` is what they write in the place of the page's names; the variables they set stay set."""

    def __init__(self, folder: Path, *, source: str, new_server: str) -> None:
        self.own = {
            "postgresql://backup@db.example.com:5432/postgres": source,
            "postgresql://postgres@new-server:5432/postgres": new_server,
            "/backups/marketing": str(folder / "repository"),
            "/etc/moi": str(folder / "etc"),
            "/media/safe": str(folder / "safe"),
            ".venv/bin/moi-backup": str(Path(sys.executable).with_name("moi-backup")),
        }
        self.folder = folder
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("MOI_")}
        self.environment["MOI_STATE"] = str(folder / "state")

    def moved(self) -> Reader:
        """The same person on a machine that knows nothing yet."""
        fresh = Reader(self.folder, source="", new_server="")
        fresh.own = self.own
        fresh.environment["MOI_STATE"] = str(self.folder / "fresh")
        return fresh

    def types(self, command: str, *, code: int = 0) -> str:
        """Run one command, which must end so; its output."""
        for written, own in self.own.items():
            command = command.replace(written, own)
        if command.startswith("export "):
            self.environment.update(pair.split("=", 1) for pair in command.removeprefix("export ").split())
            return ""
        if command.startswith("unset "):
            del self.environment[command.removeprefix("unset ")]
            return ""
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr
