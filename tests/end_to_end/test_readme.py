import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import psycopg
import pytest

from demo.application import create_tables, load_export
from demo.exports import write_exports
from moi_backup.postgres.embedded import create_database, start, stop

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
COMMANDS = [command for block in BLOCKS for command in re.findall(r"^\$ ((?:.*\\\n)*.*)$", block, re.MULTILINE)]


class Reader:
    """Somebody who types the README's commands, with addresses of their own."""

    def __init__(self, folder: Path, *, source: str, new_server: str) -> None:
        self.own = {
            "postgresql://backup@db.example.com:5432/postgres": source,
            "postgresql://postgres@new-server:5432/postgres": new_server,
            "/backups/marketing": str(folder / "repository"),
            ".venv/bin/moi-backup": str(Path(sys.executable).with_name("moi-backup")),
        }
        self.folder = folder
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("MOI_")}
        self.environment["MOI_STATE"] = str(folder / "state")

    def types(self, command: str) -> str:
        """Run one command; its output."""
        for written, own in self.own.items():
            command = command.replace(written, own)
        if command.startswith("export "):
            self.environment.update(pair.split("=", 1) for pair in command.removeprefix("export ").split())
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
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture
def reader() -> Iterator[Reader]:
    folder = Path(tempfile.mkdtemp(prefix="moi-readme-"))
    folder.chmod(0o755)
    try:
        server = start(folder / "server", settings={"fsync": "off"})
        for name in ("shop", "fresh"):
            create_database(server, name)
        with psycopg.connect(server.url("shop"), autocommit=True) as connection:
            create_tables(connection)
            for export in write_exports(folder / "exports", last_day=date(2026, 11, 20), rows=3000, months=2):
                load_export(connection, export.path)
        yield Reader(folder, source=server.url("shop"), new_server=server.url("fresh"))
    finally:
        stop(folder / "server")
        shutil.rmtree(folder)


def in_section(command: str) -> str:
    """The heading a command stands under."""
    before = README[: README.index(command.split("\\\n", maxsplit=1)[0])]
    return re.findall(r"^#+ (.*)$", before, re.MULTILINE)[-1]


def commands(section: str) -> list[str]:
    return [command for command in COMMANDS if in_section(command) == section and not command.startswith("make ")]


def test_every_command_of_the_readme_works_as_written(reader: Reader) -> None:
    """A reader who backs up, loses a week, restores it, and then loses everything, gets it all back."""
    for command in commands("Start"):
        reader.types(command)
    with psycopg.connect(reader.own["postgresql://backup@db.example.com:5432/postgres"], autocommit=True) as live:
        week = (
            "SELECT count(*), sum(amount_spent) FROM meta_import_data WHERE day BETWEEN '2026-11-09' AND '2026-11-15'"
        )
        before = live.execute(week).fetchone()
        live.execute("DELETE FROM meta_import_data WHERE day BETWEEN '2026-11-09' AND '2026-11-15'")
        for command in commands("MOI Backup"):
            assert "equal to the backup" in reader.types(command)
        assert live.execute(week).fetchone() == before
        assert before is not None
        assert before[0] > 0
    query = re.search(r"`(moi-backup query latest '.*?')`", README)
    assert query is not None
    assert "2026-11-09" in reader.types(query[1].replace("moi-backup", ".venv/bin/moi-backup"))
    del reader.environment["MOI_SOURCE_URL"]  # the database is gone
    for command in commands("Dagster is down?"):
        reader.types(command)
    with psycopg.connect(reader.own["postgresql://postgres@new-server:5432/postgres"]) as restored:
        assert restored.execute(week).fetchone() == before


def test_the_make_targets_of_the_readme_exist() -> None:
    """Whatever `make` is told to do there is a target with help."""
    targets = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|\$ )make ([a-z]+)", README)) <= targets


def test_every_link_of_the_readme_leads_to_a_file() -> None:
    """No document is promised that is not there."""
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_tree_of_the_readme_is_the_tree() -> None:
    """Every folder and module named in the README's tree exists."""
    tree = README[README.index("## The tree") :].split("```")[1]
    parent = ""
    for line in tree.strip().splitlines():
        name = line.split()[0]
        parent = name if not line.startswith(" ") else parent
        assert (ROOT / (name if parent == name else parent + name)).exists(), line
