"""The contract outside scripts rely on: names, options, exit codes, and one JSON document on standard output."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psycopg
import pytest

from moi_backup.repository.clock import SystemClock
from moi_backup.repository.identity import own_identity
from moi_backup.repository.leases import acquire
from tests.engine.cli.conftest import Command, start
from tests.engine.deployment import Deployment

HEAVY = ("pyarrow", "numpy", "psycopg", "duckdb", "rich", "adbc_driver_manager", "dagster")


def test_backup_prints_the_fields_of_the_contract(process: Command, copied: Deployment):
    """`backup --json` gives the promised fields, and standard output holds nothing else."""
    answer = process("backup", "--json", on=copied)
    assert answer.code == 0, answer.err
    assert {"id", "kind", "started_at", "finished_at", "coverage", "tables"} <= answer.document.keys()
    tables = {table["name"]: table for table in answer.document["tables"]}
    assert tables["public.meta_import_data"]["rows"] == 2000
    for table in tables.values():
        assert {"name", "rows", "chunks", "new_chunks", "bytes_written", "digest"} <= table.keys()
    assert answer.document["started_at"].endswith("+00:00")


def test_listing_backups_imports_nothing_heavy(shop: Deployment):
    """`backups` answers before any library of data or database is loaded."""
    script = (
        "import sys; sys.argv = ['moi-backup', 'backups', '--json']\n"
        "from moi_backup.cli.main import main\n"
        "try: main()\n"
        f"finally: print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    environ = {"PATH": os.environ["PATH"], **shop.environ}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environ, cwd=shop.folder, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr.strip() == "[]"
    assert len(msgspec.json.decode(done.stdout)["backups"]) >= 1


def test_no_repository_is_exit_code_10_with_an_empty_document(process: Command, shop: Deployment, tmp_path: Path):
    """The error goes to standard error, also under --json."""
    answer = process("backups", "--json", MOI_REPOSITORY=str(tmp_path / "nowhere"))
    assert (answer.code, answer.out) == (10, "")
    assert "moi-backup init" in answer.err


def test_a_second_init_changes_nothing(moi: Command, tmp_path: Path):
    """A repository that exists is refused as usage, exit code 2."""
    place = str(tmp_path / "new")
    first = moi("init", "--json", MOI_REPOSITORY=place)
    assert (first.code, first.document["address"]) == (0, place)
    before = {path: path.read_bytes() for path in Path(place).rglob("*") if path.is_file()}
    assert moi("init", MOI_REPOSITORY=place).code == 2
    assert {path: path.read_bytes() for path in Path(place).rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nonsense"], "nonsense"),
        (["backup", "--full", "--incremental"], "exclude"),
        (["backup", "--days", "2025-09-31"], "2025-09-31"),
        (["backup", "--days", "2025-09-14..2025-09-01"], "ends before"),
        (["backup", "--table", "no_such_table"], "no_such_table"),
        (["show", "20990101"], "20990101"),
        (["verify", "--read-data-subset", "3/2"], "3/2"),
        (["verify", "--read-data", "--read-data-subset", "1/2"], "--read-data-subset"),
        (["expire"], "BACKUP"),
        (["expire", "latest"], "latest"),
        (["undelete", "20"], "20"),
        (["prune", "--grace", "-1"], "--grace"),
        (["restore", "latest"], "--to"),
        (["restore", "latest", "--to", "env:NOT_SET_ANYWHERE"], "NOT_SET_ANYWHERE"),
        (
            ["restore", "latest", "--to", "source", "--in-place"],
            "--on-conflict keep-live|take-backup|take-newer|replace|merge|fail and --reason TEXT",
        ),
        (["restore", "latest", "--to", "source", "--in-place", "--on-conflict", "replace"], "--reason TEXT"),
        (["restore", "latest", "--to", "source", "--on-conflict", "replace"], "--in-place"),
        (["restore", "latest", "--to", "source", "--in-place", "--on-conflict", "newer", "--reason", "x"], "replace"),
    ],
)
def test_wrong_words_are_exit_code_2_and_named(moi: Command, arguments: list[str], named: str):
    """Nothing is done, standard output stays empty, and the message names what is off."""
    answer = moi(*arguments, "--json")
    assert (answer.code, answer.out) == (2, "")
    assert named in answer.err


def test_an_unknown_variable_is_an_error_but_help_and_version_still_answer(moi: Command):
    """A misspelt setting is never ignored; asking for help needs no settings."""
    refused = moi("backups", MOI_REPOSITRY="/x")
    assert refused.code == 2
    assert "MOI_REPOSITORY" in refused.err
    assert moi("--version", MOI_REPOSITRY="/x").out.startswith("moi-backup ")
    assert moi("backup", "--help", MOI_REPOSITRY="/x").code == 0


@pytest.mark.parametrize("place", ["before", "after"])
def test_global_options_may_stand_before_or_after_the_command(moi: Command, place: str):
    """`moi-backup --json backups` and `moi-backup backups --json` are the same."""
    answer = moi("--json", "backups") if place == "before" else moi("backups", "--json")
    assert answer.document["backups"]


def test_quiet_says_nothing_when_all_is_well(moi: Command, copied: Deployment):
    """No output and no progress; errors would still be told."""
    assert moi("backup", "--quiet", on=copied) == moi("verify", "--quiet", on=copied)
    assert moi("backup", "--quiet", on=copied).out == moi("backup", "--quiet", on=copied).err == ""
    assert moi("show", "nothing", "--quiet", on=copied).err


def test_a_held_lease_is_exit_code_11_and_says_by_whom(moi: Command, copied: Deployment):
    """The second writer refuses and names the first; --wait waits that long."""
    store = copied.workspace.store()
    clock = SystemClock()
    with acquire(store, "writer", operation="a long backup", wait=0, clock=clock, identity=own_identity()):
        answer = moi("backup", on=copied)
        began = time.monotonic()
        assert moi("backup", "--wait", "1.2", on=copied).code == 11
        assert time.monotonic() - began >= 1.2
    assert answer.code == 11
    assert f"a long backup by process {os.getpid()}" in answer.err
    assert moi("backup", "--quiet", on=copied).code == 0


def test_a_terminated_backup_leaves_no_backup_and_no_lease(copied: Deployment):
    """SIGTERM while a table is awaited: exit code 130, the lease is released, nothing is listed."""
    with psycopg.connect(copied.url) as blocker:
        blocker.execute("LOCK TABLE meta_import_data IN ACCESS EXCLUSIVE MODE")
        with start(["backup", "--full"], copied) as child:
            lease = copied.folder / "repository" / "leases" / "writer"
            deadline = time.monotonic() + 20
            while not any(f'"pid":{child.pid},' in held.read_text() for held in lease.iterdir()):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            time.sleep(0.5)  # it has its lease and waits for the table
            child.send_signal(signal.SIGTERM)
            _, err = child.communicate(timeout=30)
    assert child.returncode == 130
    assert "SIGTERM" in err
    assert len(copied.backups()) == 1
    assert [b'"released"' in beat.read_bytes() for beat in lease.glob("*.beat")] == [True]


def test_a_reader_that_has_gone_is_no_traceback(shop: Deployment):
    """`moi-backup query ... | head` ends quietly."""
    with start(["query", "latest", "SELECT * FROM range(2000000)"], shop) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        child.stdout.close()
        assert child.stderr.read() == ""
        assert child.wait(30) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["restore", "latest", "--to", "postgresql://u:hunter2@127.0.0.1:1/d"],
        ["restore", "latest", "postgresql://u:hunter2@127.0.0.1:1/d"],
        ["restore", "latest", "--to", "postgresql://u@127.0.0.1:1/d?password=hunter2", "--verbose"],
        ["restore", "latest", "--to", "nonsense://u:hunter2@h/d"],
        ["restore", "latest", "--to", "postgresql://u:hunter2/@h/d"],
        ["show", "postgresql://u:hunter2@h/d", "--verbose"],
    ],
)
def test_no_error_repeats_a_password(process: Command, arguments: list[str]):
    """Whatever is wrong with a URL, its password is not in the message, nor in a traceback."""
    answer = process(*arguments)
    assert answer.code in (1, 2)
    assert answer.err
    assert "hunter2" not in answer.err + answer.out
