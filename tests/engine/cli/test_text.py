"""What people read: answers, tables, sizes and ages."""

from __future__ import annotations

import os
import pty
import sys
from pathlib import Path

import pytest

from moi_backup.cli import wording
from moi_backup.cli.failures import scrubbed, secrets_of
from moi_backup.cli.output import aligned, visible
from tests.engine.cli.conftest import Command
from tests.engine.deployment import Deployment


def test_text_cannot_steer_the_terminal():
    """Control characters of a name or reason are written as escapes; scripts of the world stay."""
    assert visible("a\x1b[2J\rb\u202e") == "a\\x1b[2J\\rb\\u202e"
    assert visible("TOF | हिन्दी é") == "TOF | हिन्दी é"


def test_columns_are_aligned_and_nothing_is_cut():
    """Numbers to the right, texts to the left."""
    assert aligned([["id", "n"], ["abcdef", "7"], ["x", "1,000"]], right=[False, True]) == [
        "id          n",
        "abcdef      7",
        "x       1,000",
    ]


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_950, "1.0 MB"), (112_000_000, "112.0 MB")]
)
def test_sizes_are_told_in_fitting_units(number: int, text: str):
    """Units of a thousand, never `1000.0 kB`."""
    assert wording.size(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(3, "3 s"), (600, "10 min"), (3 * 3600, "3 h"), (47 * 3600, "47 h"), (72 * 3600, "3 days")]
)
def test_ages_are_told_in_fitting_units(seconds: float, text: str):
    """As a person would say it."""
    assert wording.age(seconds) == text


def test_secrets_are_found_in_urls_and_parameters_decoded_too():
    """A password with percent-encoding is hidden in both forms, in any text."""
    environ = {"MOI_SOURCE_URL": "postgresql://u:p%40ss@h/d", "PGPASSWORD": "other"}
    secrets = secrets_of(environ, ["postgresql://h/d?user=u&password=third"])
    told = scrubbed("p%40ss p@ss other third postgresql://x:new@h password='q r'", secrets=secrets)
    assert told == "*** *** *** *** postgresql://x:***@h password=***"


def test_the_first_line_of_status_is_the_answer(moi: Command):
    """Protected or not, how old, how much."""
    first = moi("status").out.splitlines()[0]
    assert first.startswith("Protected: the newest complete backup is ")
    assert "2,003 rows in 3 tables" in first


def test_people_are_told_times_in_the_configured_zone(moi: Command, shop: Deployment):
    """The default zone is Asia/Kolkata."""
    out = moi("backups").out
    assert " IST " in out
    assert shop.backups()[0].id in out
    assert "the first" in out


def test_a_backup_reports_rows_bytes_and_the_saving_of_compression(moi: Command, copied: Deployment):
    """Per table and in sum; a limited one says so."""
    answer = moi("backup", "--full", on=copied)
    assert "saved by compression" in answer.out
    assert "public.meta_import_data" in answer.out
    assert "2,000 rows" in answer.err
    limited = moi("backup", "--table", "public.meta_import_data", "--days", "2025-09-14", on=copied)
    assert "Limited to public.meta_import_data; days 2025-09-14" in limited.out


@pytest.mark.parametrize("environ", [{}, {"NO_COLOR": "1"}])
def test_a_narrow_terminal_never_cuts_an_id(shop: Deployment, environ: dict[str, str]):
    """On a terminal of 40 columns every id is whole; NO_COLOR leaves no colour."""
    out = on_terminal(["backups"], shop, COLUMNS="40", **environ)
    assert shop.backups()[0].id in out
    assert "…" not in out
    doctor = on_terminal(["doctor"], shop, COLUMNS="40", **environ)
    assert ("\x1b[32m" in doctor) is (not environ)


def on_terminal(arguments: list[str], deployment: Deployment, **environ: str) -> str:
    """Run a command with a pseudo-terminal as its standard output."""
    script = "from moi_backup.cli.main import main; main()"
    environ = {"PATH": os.environ["PATH"], "TERM": "xterm", **deployment.environ, **environ}
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(deployment.folder)
        os.execve(sys.executable, [sys.executable, "-c", script, *arguments], environ)
    written = b""
    try:
        while block := os.read(terminal, 65536):
            written += block
    except OSError:  # Linux reports the end of a terminal so
        pass
    finally:
        os.close(terminal)
        os.waitpid(child, 0)
    return written.decode()


def test_a_defect_is_told_without_values(moi: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """An error nobody foresaw is one message and exit code 1; the traceback comes with --verbose, scrubbed."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("connection to postgresql://u:hunter2@h failed")

    monkeypatch.setattr("moi_backup.operations.list_backups.list_backups", broken)
    answer = moi("backups")
    assert answer.code == 1
    assert "defect" in answer.err
    assert "hunter2" not in answer.err
    verbose = moi("backups", "--verbose")
    assert "Traceback" in verbose.err
    assert "hunter2" not in verbose.err


def test_the_way_of_a_backup_into_the_trash_and_out_of_the_repository_is_told(moi: Command, copied: Deployment):
    """Each step says what it did, what comes next, and why something is kept."""
    backup = copied.backups()[0].id
    assert f"moi-backup undelete {backup}" in moi("expire", backup, on=copied).out
    assert "nothing protects the database" in moi("expire", copied.back_up().manifest.id, on=copied).out
    assert moi("backups", on=copied).out.startswith("There are no backups yet")
    trash = moi("backups", "--trash", on=copied).out
    assert backup in trash
    assert "can be pruned from" in trash
    kept = moi("prune", on=copied).out
    assert f"Kept: {backup} (in the trash; can be pruned from" in kept
    assert "Every object is needed." in kept
    assert moi("undelete", backup, on=copied).out == f"{backup} is listed again.\n"
    planned = moi("prune", "--dry-run", "--grace", "0", on=copied).out
    assert "Gone for good: " in planned
    assert f"Kept: {backup} (listed)" in planned
    assert planned.endswith("Dry run: nothing was deleted.\n")
    assert "Deleted " in moi("prune", "--grace", "0", on=copied).out
    assert moi("backups", "--trash", on=copied).out == "The trash is empty.\n"
    assert "temporary files of killed runs" in moi("sweep", on=copied).out
    assert moi("sweep", "--dry-run", on=copied).out.endswith("Dry run: nothing was removed.\n")
