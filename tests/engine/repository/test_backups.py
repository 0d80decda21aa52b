"""Which backup a person means, and what is said when it is none."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import moi_backup
from moi_backup.errors import UsageError
from moi_backup.model.backup import Coverage
from moi_backup.model.day import DayRange
from moi_backup.repository import layout
from moi_backup.repository.backups import read_backups, resolve_backup
from moi_backup.repository.chain import append, read_chain
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.leases import Lease
from moi_backup.repository.repository import Repository
from tests.engine.repository.samples import AT, publish_backup

LIMITED = Coverage(days=DayRange("2025-09-01", "2025-09-30"))


def resolved(repository: Repository, text: str) -> str:
    """The id that `text` names."""
    return resolve_backup(repository, read_chain(repository), text).id


@pytest.fixture
def five(repository: Repository, lease: Lease) -> list[str]:
    """A full, an incremental, a limited full, one before an upload and one before a restore."""
    shapes = [
        {"kind": "full"},
        {"kind": "incremental"},
        {"kind": "full", "coverage": LIMITED},
        {"kind": "pre_upload"},
        {"kind": "pre_restore", "coverage": Coverage(tables=("public.sales",))},
    ]
    return [publish_backup(repository, number, lease=lease, **shape).id for number, shape in enumerate(shapes, start=1)]


def test_an_id_or_the_beginning_of_one_names_a_backup(repository: Repository, five):
    """Any beginning that fits only one will do, whatever its kind."""
    for backup in five:
        assert resolved(repository, backup) == backup
        assert resolved(repository, backup[:15]) == backup


def test_latest_is_the_newest_complete_one(repository: Repository, five):
    """Limited backups and those before an upload or a restore never count."""
    assert resolved(repository, "latest") == five[1]
    assert resolved(repository, "latest-full") == five[0]


def test_latest_follows_the_history(repository: Repository, five, lease: Lease):
    """An expired backup is latest no more."""
    append(repository, action="expire", backup=five[1], at=AT, lease=lease)
    assert resolved(repository, "latest") == five[0]


def test_an_ambiguous_beginning_lists_the_candidates(repository: Repository, five):
    """Nothing is chosen for the person."""
    with pytest.raises(UsageError, match="'2026' is the beginning of 5 backups") as caught:
        resolved(repository, "2026")
    assert all(backup in caught.value.what for backup in five)


def test_no_name_at_all_names_no_backup(repository: Repository, lease: Lease):
    """Not even the only one: an empty variable in a script must not choose what is restored."""
    publish_backup(repository, 1, lease=lease)
    with pytest.raises(UsageError, match="No backup is called ''"):
        resolved(repository, "")


def test_an_unknown_name_says_which_is_the_newest(repository: Repository, five):
    """The remedy names what exists."""
    with pytest.raises(UsageError, match="No backup is called 'yesterday'") as caught:
        resolved(repository, "yesterday")
    assert five[-1] in caught.value.remedy


def test_without_backups_it_says_that_there_are_none(repository: Repository):
    """Both for a name and for latest."""
    with pytest.raises(UsageError, match="there are none yet"):
        resolved(repository, "2026")
    with pytest.raises(UsageError, match="There is no complete backup yet") as caught:
        resolved(repository, "latest")
    assert "moi-backup backup --full" in caught.value.remedy


def test_limited_backups_alone_are_no_latest(repository: Repository, lease: Lease):
    """It says that there are some, and why they do not count."""
    publish_backup(repository, 1, lease=lease, coverage=LIMITED)
    with pytest.raises(UsageError, match=r"no complete full backup yet \(1 listed"):
        resolved(repository, "latest-full")


def test_expired_and_pruned_backups_say_so(repository: Repository, five, lease: Lease):
    """An id that once was valid is not called unknown."""
    append(repository, action="expire", backup=five[0], at=AT, lease=lease)
    with pytest.raises(UsageError, match="in the trash"):
        resolved(repository, five[0])
    append(repository, action="prune", backup=five[0], at=AT, lease=lease)
    with pytest.raises(UsageError, match="removed for good"):
        resolved(repository, five[0])


def test_latest_never_passes_over_a_damaged_newest_backup(repository: Repository, five):
    """An older state is not handed out silently."""
    repository.store.delete(layout.backup_name(five[-1]))
    with pytest.raises(DamagedObject, match=five[-1]):
        resolved(repository, "latest")


def test_backups_are_read_in_the_order_of_publishing(repository: Repository, five):
    """All that are listed, and no others."""
    assert [manifest.id for manifest in read_backups(repository, read_chain(repository))] == five


def test_naming_a_backup_imports_nothing_heavy():
    """`moi-backup backups` answers in under half a second: no Arrow, no DuckDB, no database driver on the way."""
    program = (
        "import sys, moi_backup.repository.backups, moi_backup.repository.verify, moi_backup.repository.reachability,"
        "moi_backup.storage.local; print(*sys.modules)"
    )
    checkout = Path(moi_backup.__file__).parents[1]
    loaded = subprocess.run([sys.executable, "-c", program], cwd=checkout, capture_output=True, text=True, check=True)
    assert not {"pyarrow", "duckdb", "psycopg", "adbc_driver_manager", "numpy", "rich"} & set(loaded.stdout.split())


def test_a_moment_names_the_newest_complete_backup_that_had_ended(repository: Repository, lease: Lease):
    """Nothing in it was written after the moment; without an offset the moment is in the backups' own time zone."""
    ended = ("10:00", "11:00", "12:00")
    first, second, third = (
        publish_backup(repository, number, lease=lease, finished_at=f"2026-11-24T{at}:00.000000+00:00").id
        for number, at in enumerate(ended, start=1)
    )
    publish_backup(
        repository, 4, lease=lease, kind="pre_restore", coverage=LIMITED, finished_at="2026-11-24T12:30:00+00:00"
    )
    assert resolved(repository, "2026-11-24T10:59:59.9Z") == first
    assert resolved(repository, "2026-11-24 16:30") == second
    assert resolved(repository, "2026-11-24 16:29:59+05:30") == first
    assert resolved(repository, "2031-01-01 00:00") == third
    for nothing in ("2026-11-24 15:29", "2026-11-24 09:59:59+00:00"):
        with pytest.raises(UsageError, match=f"No complete backup had ended at {re.escape(nothing)}"):
            resolved(repository, nothing)
    for no_moment in ("2026-13-24 10:00", "2026-11-24"):
        with pytest.raises(UsageError):
            resolved(repository, no_moment)
