"""No key, password or confidential value leaves its place: a scenario is played, and everything written is read."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from moi_backup.postgres.embedded import EmbeddedServer
from tests.orchestration.secrets import places
from tests.orchestration.secrets.needles import forms, found_in, needles
from tests.orchestration.secrets.processes import ProcessList, watched
from tests.orchestration.secrets.scenario import Scenario, play

Played = tuple[Scenario, ProcessList]
SECRET = os.urandom(32)
DAGSTERS_OWN = "tail "
"""What Dagster starts itself, to keep the output of a run; it gives it all of its environment."""


@pytest.fixture(scope="module")
def played(server: EmbeddedServer) -> Iterator[Played]:
    """The scenario, played once for all tests of this module."""
    folder = Path(tempfile.mkdtemp(prefix="moi-secrets-"))
    scene = Scenario(server, folder)
    try:
        scene.prepare()
        with watched() as processes:
            play(scene)
        yield scene, processes
    finally:
        shutil.rmtree(folder)


def _words(scene: Scenario) -> places.Bytes:
    return ((str(path), path.read_bytes()) for path in (scene.folder / "records").glob("*.words"))


PLACES: dict[str, Callable[[Scenario, ProcessList], places.Bytes]] = {
    "repository": lambda scene, _: places.files(scene.folder / "repository"),
    "repository, decrypted": lambda scene, _: places.decrypted(scene.workspace),
    "state": lambda scene, _: places.files(scene.folder / "state"),
    "configuration": lambda scene, _: iter([("moi.toml", (scene.folder / "moi.toml").read_bytes())]),
    "home": lambda scene, _: places.files(scene.folder / "home"),
    "temporary files": lambda scene, _: places.files(scene.folder / "tmp"),
    "Dagster's home": lambda scene, _: places.files(scene.folder / "dagster"),
    "Dagster's files": lambda scene, _: places.files(scene.folder / "files"),
    "Dagster's database": lambda scene, _: places.database(scene.server.url("secrets_dagster")),
    "output": lambda scene, _: iter(scene.outputs),
    "process list": lambda _, processes: (("a command line", line) for line in processes.command_lines),
    "words of programs": lambda scene, _: _words(scene),
}


@pytest.mark.parametrize("place", PLACES)
def test_no_secret_is_written_anywhere(played: Played, place: str):
    """Neither a master key, a scope key, an export, a password nor a confidential value, in any encoding."""
    assert found_in(PLACES[place](*played), needles(played[0].secrets)) == []


@pytest.mark.parametrize(
    ("place", "word"),
    [
        ("repository", b"MOI1"),
        ("repository, decrypted", b"meta_import_data"),
        ("state", b'"seq"'),
        ("Dagster's files", b"STEP_SUCCESS"),
        ("Dagster's database", b"PIPELINE_FAILURE"),
        ("Dagster's database", b"| id | day |"),
        ("output", b"Traceback"),
        ("output", b"scope"),
        ("process list", b"moi_assets.definitions"),
        ("words of programs", b"--schema-only"),
    ],
)
def test_the_scan_reads_what_was_written(played: Played, place: str, word: bytes):
    """What must be there is found by the same reading, so an empty scan is none."""
    assert any(word in data for _, data in PLACES[place](*played))


def test_the_programs_that_were_started_got_no_key(played: Played):
    """pg_dump, pg_restore and the program that prints a key run without MOI_KEY_<n>, as do all that were seen."""
    scene, processes = played
    recorded = {path.name: path.read_bytes() for path in (scene.folder / "records").glob("*.environment")}
    assert {name.partition(".")[0] for name in recorded} == {"pg_dump", "pg_restore", "vault"}
    given = recorded | {name: env for name, env in processes.environments.items() if not name.startswith(DAGSTERS_OWN)}
    assert [name for name, environment in given.items() if b"MOI_KEY_" in environment] == []


@pytest.mark.parametrize("form", forms(SECRET))
@pytest.mark.parametrize("around", [(b"", b""), (b'{"reason":"x', b'"}'), (b"\0\1", b"\xff\xff")])
def test_a_planted_secret_is_found_in_a_file(tmp_path: Path, form: str, around: tuple[bytes, bytes]):
    """Every encoding, alone and within other bytes, whole and cut to a half."""
    before, after = around
    planted = before + forms(SECRET)[form] + after if "base64" not in form else _encoded(form, before, after)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "log").write_bytes(planted)
    assert found_in(places.files(tmp_path), needles({"it": SECRET}))
    assert not found_in(places.files(tmp_path), needles({"another": os.urandom(32)}))


def _encoded(form: str, before: bytes, after: bytes) -> bytes:
    """Base64 of the secret within other bytes of the same text."""
    offset = int(form[-1])
    whole = base64.b64encode(b"ab"[:offset] + SECRET + after)
    return before + (whole.replace(b"+", b"-").replace(b"/", b"_") if "url" in form else whole)


@pytest.mark.parametrize("kind", ["text", "json", "bytea", "compressed"])
def test_a_planted_secret_is_found_in_a_database(database: str, kind: str):
    """In any column of any table, also in what Dagster compresses."""
    text = f"run config {SECRET.hex()}"
    value: object = {"text": text, "json": f'{{"a": "{text}"}}', "bytea": SECRET, "compressed": zlib.compress(SECRET)}[
        kind
    ]
    with psycopg.connect(database, autocommit=True) as connection:
        column = "bytea" if isinstance(value, bytes) else kind
        connection.execute(f"CREATE SCHEMA s; CREATE TABLE s.events (id int, body {column})".encode())
        connection.execute("INSERT INTO s.events VALUES (1, %s)", (value,))
    assert found_in(places.database(database), needles({"it": SECRET}))
    assert not found_in(places.database(database), needles({"another": os.urandom(32)}))


def test_a_planted_secret_is_found_in_the_process_list():
    """A program that was given a secret on its command line, or a key in its environment, is seen."""
    with watched() as processes:
        subprocess.run(
            ["sh", "-c", f": {SECRET.hex()}; sleep 0.5"], env={"MOI_KEY_1": "x", "PATH": os.defpath}, check=True
        )
    lines = (("a command line", line) for line in processes.command_lines)
    assert found_in(lines, needles({"it": SECRET}))
    assert any(b"MOI_KEY_" in environment for environment in processes.environments.values())
