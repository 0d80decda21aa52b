"""`copy`, `verify --copy` and `repair` as people and scripts call them, and readers that say where they read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.engine.cli.conftest import Command
from tests.engine.copies import flip
from tests.engine.deployment import Deployment


@pytest.fixture
def place(copied: Deployment) -> dict[str, str]:
    """The environment that configures a copy."""
    return {"MOI_REPOSITORY_COPY": str(copied.folder / "copy")}


def first_chunk(folder: Path) -> Path:
    """The file of a chunk of the platform table."""
    return min((folder / "chunks" / "public.meta_import_data").rglob("*.parquet"))


def test_a_copy_is_made_verified_and_told(moi: Command, copied: Deployment, place: dict[str, str]):
    """With the configured place or a named one, which is relative to the current folder."""
    dry = moi("copy", "--dry-run", on=copied, **place)
    assert (dry.code, "Dry run: nothing was written." in dry.out) == (0, True)
    made = moi("copy", "--json", on=copied, **place)
    assert (made.code, len(made.document["backups"])) == (0, 1)
    again = moi("copy", "--to", "copy", on=copied)
    assert (again.code, "0 new backups, 0 objects" in again.out) == (0, True)
    both = moi("verify", "latest", "--copy", on=copied, **place)
    assert (both.code, "No damage in the copy: 1 backup" in both.out) == (0, True)
    assert "The copy has every backup that is listed." in both.out
    alone = moi("verify", "--only-copy", "--json", "--copy", "copy", on=copied)
    assert (alone.code, alone.document["repository"], alone.document["behind"]) == (0, str(copied.folder / "copy"), [])


def test_a_copy_with_a_hole_is_exit_code_3(moi: Command, copied: Deployment, place: dict[str, str]):
    """The object, its backups, and that the copy is not whole."""
    flip(first_chunk(copied.folder / "repository"))
    answer = moi("copy", on=copied, **place)
    assert answer.code == 3
    assert "Not in the copy: chunks/public.meta_import_data/" in answer.out
    assert "The copy is not whole" in answer.out
    assert "was not copied: it has the hash" in answer.err


def test_without_a_configured_copy_one_must_be_named(moi: Command, copied: Deployment):
    """Exit code 2, and how to configure it."""
    for arguments in (["copy"], ["verify", "--copy"], ["verify", "--only-copy"]):
        answer = moi(*arguments, on=copied)
        assert (answer.code, answer.out) == (2, "")
        assert "MOI_REPOSITORY_COPY" in answer.err


def test_repair_tells_what_it_healed_and_from_where(moi: Command, copied: Deployment, place: dict[str, str]):
    """A dry run first, then the deed, then nothing is left to do."""
    moi("copy", on=copied, **place)
    flip(first_chunk(copied.folder / "repository"))
    dry = moi("repair", "--dry-run", on=copied, **place)
    assert (dry.code, "From the copy: chunks/" in dry.out, "1 damaged object" in dry.out) == (0, True, True)
    done = moi("repair", on=copied, **place)
    assert (done.code, "Healed from the copy: chunks/" in done.out) == (0, True)
    assert "Nothing in" in moi("repair", on=copied, **place).out


def test_readers_warn_on_standard_error_and_their_document_stays_whole(
    moi: Command, copied: Deployment, place: dict[str, str], empty_database
):
    """One line for each object; the restore's document carries it as a note."""
    moi("copy", on=copied, **place)
    flip(first_chunk(copied.folder / "repository"))
    query = moi("query", "latest", "SELECT count(*) AS n FROM meta_import_data", "--json", on=copied, **place)
    assert (query.code, query.document) == (0, [{"n": 2000}])
    assert query.err.count("it was read from the copy at") == 1
    restore = moi("restore", "latest", "--to", "env:TARGET", "--json", on=copied, TARGET=empty_database(), **place)
    assert (restore.code, restore.document["complete"]) == (0, True)
    assert "it was read from the copy at" in restore.document["notes"][0]
    assert restore.err.count("it was read from the copy at") == 1


def test_a_lost_repository_is_told_loudly(moi: Command, copied: Deployment, place: dict[str, str]):
    """Whatever is asked, the first thing said is whose data this is."""
    moi("copy", on=copied, **place)
    shutil.rmtree(copied.folder / "repository")
    for arguments in (["backups"], ["show", "latest"], ["query", "latest", "SELECT 1"]):
        answer = moi(*arguments, on=copied, **place)
        assert answer.code == 0
        assert answer.err.startswith("Warning: The repository cannot be read, so everything comes from the copy at")
    assert moi("backup", on=copied, **place).code == 10
    assert "copy --to" in moi("repair", on=copied, **place).err
